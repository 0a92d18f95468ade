from .base import Conversion as Conversion
from .base import Representative as Representative
from .base import Source as Source
from .base import open_conversion as open_conversion
