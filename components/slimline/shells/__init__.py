"""What the TFX shells share: artifacts, properties and URIs on one side, calls of `slimline.core` on the other.

In: TFX's channels and exec properties. Out: local folders, TFRecord files and configurations; recorded properties.
"""
