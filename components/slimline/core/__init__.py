"""What Slimline does, as plain Python on Keras, LiteRT and NumPy: no TFX, Beam, ML Metadata or Kubeflow."""
