from .component import Quantizer as Quantizer
