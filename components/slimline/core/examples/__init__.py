"""Examples: records of TFRecord files, read once, matched with a model's inputs, and given as batches.

In: TFRecord files, a schema, an `ExamplesConfig`. Out: batches of (inputs by name, label), single features, digests.
"""
