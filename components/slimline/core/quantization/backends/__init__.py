"""The programs that quantize, behind one interface: `open_conversion` picks the one that a configuration names."""

from slimline.core.quantization.backends.base import Conversion, Representative, Source, open_conversion

__all__ = ["Conversion", "Representative", "Source", "open_conversion"]
