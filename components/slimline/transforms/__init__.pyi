from .evaluation import EvaluateFiles as EvaluateFiles
from .overlap import FindSampled as FindSampled
from .sampling import SampleFiles as SampleFiles
