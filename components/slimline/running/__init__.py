"""Runs and compiles pipelines in a process of their own.

TFX takes half a minute to import and writes to the terminal as it likes. So the command line stays small and quick, and
a child process (`child`) does the work: it reports through a pipe, and all else that it prints goes to a log file.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
