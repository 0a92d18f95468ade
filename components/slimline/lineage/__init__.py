"""Reads ML Metadata: what ran, what came of it, and where a file came from. Knows neither TFX nor TensorFlow."""
