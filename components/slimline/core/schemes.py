"""The words that options are made of: schemes of quantization, the types at their ends, targets and wishes.

They are those of https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/post_training_quantization.
"""

from typing import Literal, TypeAlias, get_args

Scheme: TypeAlias = Literal["float32", "float16", "dynamic_range", "int8", "int16x8"]
SchemeOrAuto: TypeAlias = Literal["auto", "float32", "float16", "dynamic_range", "int8", "int16x8"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
# Schemes that fix the range of every activation, and so need records to measure it on.
CALIBRATED_SCHEMES: tuple[Scheme, ...] = ("int8", "int16x8")

EndType: TypeAlias = Literal["float32", "int8", "uint8"]
# What inputs and outputs can be, the default first.
END_TYPES: dict[Scheme, tuple[EndType, ...]] = {
    "float32": ("float32",),
    "float16": ("float32",),
    "dynamic_range": ("float32",),
    "int8": ("int8", "uint8", "float32"),
    "int16x8": ("float32",),
}
BackendName: TypeAlias = Literal["converter", "litert-quantizer"]
# What a layer that int8 hurts is kept in.
Keep: TypeAlias = Literal["float32", "int16"]
# What to do when zeros or clusters of a model are lost: say so, or fail.
OnLostGain: TypeAlias = Literal["warn", "error"]

# What the advisor asks.
Target: TypeAlias = Literal["cpu", "gpu", "edgetpu", "hexagon", "micro", "ethos_u"]
Priority: TypeAlias = Literal["accuracy", "size", "latency"]
Data: TypeAlias = Literal["none", "unlabelled", "labelled"]
