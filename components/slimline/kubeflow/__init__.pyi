from .compile import compile_pipeline as compile_pipeline
