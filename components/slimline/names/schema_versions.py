"""Versions of the JSON files that Slimline writes; each is raised when a field of its file changes its meaning."""

GAINS = 1
IO_SPEC = 1
QUANTIZATION_REPORT = 1
EVALUATION = 2
CALIBRATION_MANIFEST = 2
