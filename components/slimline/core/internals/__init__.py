"""What Slimline uses of Keras, TFMOT, TensorFlow and LiteRT that these do not promise to keep, one module per library.

Each says in which version it was seen. When an update breaks something, it is here that it is mended, and `make test`
says so. What TFX and Beam keep to themselves is in `slimline.shells.tfx_internals` and
`slimline.transforms.beam_internals`, since core knows neither.
"""
