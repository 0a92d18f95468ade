from .advisor import Advice as Advice
from .advisor import Wishes as Wishes
from .advisor import advise as advise
from .configuration import QuantizationConfig as QuantizationConfig
from .conversion import quantize as quantize
from .selective_config import SelectiveConfig as SelectiveConfig
