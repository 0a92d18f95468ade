from .component import EdgeValidator as EdgeValidator
