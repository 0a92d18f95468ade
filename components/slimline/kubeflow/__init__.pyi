from .compile import compile_pipeline as compile_pipeline
from .options import CompileOptions as CompileOptions
from .run_local import run_local as run_local
from .submission import schedule as schedule
from .submission import submit as submit
