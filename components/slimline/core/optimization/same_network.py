"""Makes sure that what TFMOT does to a model leaves it the same network."""

from collections.abc import Iterator
from contextlib import contextmanager

import tf_keras

from slimline.core.models.rebuilding import find_difference
from slimline.errors import ModelError

# Sums in another order.
_TOLERANCE = 1e-4


def require_same_network(before: tf_keras.Model, after: tf_keras.Model, what_was_done: str) -> None:
    """Compares two models on random input, and leaves their variables as they were.

    Args:
      before: The model.
      after: The same after TFMOT's work.
      what_was_done: For the message.

    Raises:
      ModelError: They give different outputs.
    """
    with _variables_kept(before, after):
        different = find_difference(before, after, tolerance=_TOLERANCE)
    if different is not None:
        raise ModelError(
            f"model {after.name!r}, whose output {different.output} differs by {different.error:.3g} on random input "
            f"when it is {what_was_done}",
            f"at most {different.limit:.3g}: the same network",
            "quantize this model after its training only, and report its layers as a fault",
        )


@contextmanager
def _variables_kept(*models: tf_keras.Model) -> Iterator[None]:
    """Gives variables back their values: a call of TFMOT's wrappers masks weights, which only training should do."""
    variables = {id(variable): variable for model in models for variable in model.variables}.values()
    values = [variable.numpy() for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
