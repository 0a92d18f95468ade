"""Reference pipelines, each complete: data, Trainer, optimization, validation, push.

The entry points of the package name them for the command line (`slimline.running.pipelines`).
"""
