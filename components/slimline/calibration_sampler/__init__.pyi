from .component import CalibrationSampler as CalibrationSampler
