from .endings import ProcessFailedError as ProcessFailedError
from .process import Finished as Finished
from .process import Progress as Progress
from .process import execute as execute
