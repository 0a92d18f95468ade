"""Handwritten digits: a whole pipeline in minutes, on real images that ship with scikit-learn."""
