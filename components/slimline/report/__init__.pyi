from .page import render as render
from .page import render_quantization as render_quantization
from .page import write_page as write_page
