"""From a Keras model to a `.tflite` file of a chosen scheme, run and described.

In: a model, calibration batches, a `QuantizationConfig`. Out: the file, how far it is from the float model, a report.
"""
