"""The CalibrationSampler component."""
