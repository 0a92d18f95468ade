from .messages import Event as Event
from .process import IsolatedError as IsolatedError
from .process import IsolatedProcess as IsolatedProcess
from .process import run_isolated as run_isolated
