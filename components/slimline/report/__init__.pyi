from .page import render as render
from .page import write_page as write_page
