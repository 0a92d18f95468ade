"""Rebuilds a Keras model layer by layer: nested models flattened, all in float32, with variables of its own.

TFMOT refuses nested models and mixed precision, changes the layers that it is given, and makes layers whose automatic
names collide with those of a loaded model. So every technique works on a rebuilt copy, and the given model stays as
it is.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from slimline.core.internals.keras2 import flat_inputs, lookup_tables, nodes_in_order
from slimline.errors import ModelError

_HALF_PRECISION = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16")
_TOLERANCE = 1e-4
# A half-precision model and its float32 copy differ by the model's own rounding errors.
_HALF_TOLERANCE = 5e-2
_NUM_PROBES = 4
_PROBE_SEED = 0
_OWN_SHAPES: Mapping[str, Sequence[int]] = MappingProxyType({})


def _as_it_is(config: Any) -> Any:
    return config


def rebuild(
    model: tf_keras.Model,
    *,
    prefix: str = "",
    change: Callable[[Any], Any] = _as_it_is,
    shapes: Mapping[str, Sequence[int]] = _OWN_SHAPES,
) -> tf_keras.Model:
    """Returns an equal functional model with variables of its own.

    Inputs and outputs keep their names, except that a prefix also stands before the outputs' names.

    Args:
      model: Functional or Sequential, and built.
      prefix: Stands before the name of every layer but the inputs.
      change: Returns another configuration for a layer's own.
      shapes: By input name and without the batch, where inputs are to have another shape than their own.

    Raises:
      ModelError: The copy's outputs differ from the model's on random input.
    """
    builder = _Rebuilder(prefix, change)
    inputs = [
        tf_keras.Input(
            shapes.get(name, tensor.shape[1:]),
            batch_size=tensor.shape[0],
            name=name,
            dtype=full_precision(tensor.dtype.name),
        )
        for name, tensor in zip(model.input_names, model.inputs, strict=True)
    ]
    outputs = builder.run(model, inputs, (), {})
    rebuilt = tf_keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0], name=model.name)
    builder.copy_weights()
    require_same_outputs(model, rebuilt, tolerance=_HALF_TOLERANCE if is_half_precision(model) else _TOLERANCE)
    return rebuilt


def is_half_precision(model: tf_keras.Model) -> bool:
    """Returns whether any layer of a model computes in 16-bit floats."""
    return any(
        is_half_precision(layer) if isinstance(layer, tf_keras.Model) else layer.compute_dtype in _HALF_PRECISION
        for layer in model.layers
    )


def full_precision(dtype: str) -> str:
    """Returns `float32` for the name of a 16-bit float type or policy, and any other name as it is."""
    return "float32" if dtype in _HALF_PRECISION else dtype


def require_same_outputs(original: Any, copy: Any, *, tolerance: float) -> None:
    """Checks that two models give the same outputs on random input.

    Models that take strings are let through: random strings are none that they know.

    Args:
      original: A model with `inputs`, that maps a list of tensors to outputs.
      copy: Another one with inputs in the same order.
      tolerance: Largest difference, relative to the largest output where that is over 1.

    Raises:
      ModelError: They differ.
    """
    different = find_difference(original, copy, tolerance=tolerance)
    if different is not None:
        raise ModelError(
            f"output {different.output} of the rebuilt model {copy.name!r} differs by {different.error:.3g} on random "
            "input",
            f"at most {different.limit:.3g}",
            "quantize this model after its training only, without Pruner, Clusterer and QAT",
        )


@dataclass(frozen=True)
class Difference:
    """Where two models differ.

    Attributes:
      output: Number of the output.
      error: Largest difference.
      limit: That was allowed.
    """

    output: int
    error: float
    limit: float


def find_difference(original: Any, copy: Any, *, tolerance: float) -> Difference | None:
    """Compares two models on random input; None where they are equal, and for models that take strings.

    Args:
      original: A model with `inputs`, that maps a list of tensors to outputs.
      copy: Another one with inputs in the same order.
      tolerance: Largest difference, relative to the largest output where that is over 1.
    """
    probes = random_inputs(copy.inputs)
    if probes is None:
        return None
    for index, (wanted, given) in enumerate(zip(_flat_call(original, probes), _flat_call(copy, probes), strict=True)):
        error = float(np.max(np.abs(wanted - given), initial=0)) if wanted.shape == given.shape else float("inf")
        limit = tolerance * max(1.0, float(np.max(np.abs(wanted), initial=0)))
        if not error <= limit:
            return Difference(index, error, limit)
    return None


def random_inputs(specs: Sequence[Any]) -> list[np.ndarray] | None:
    """Returns random values for inputs of given shapes and dtypes, the same ones every time; none for strings.

    Unknown dimensions are taken as small. Integers are 0 or 1, which every embedding knows.
    """
    generator = np.random.default_rng(_PROBE_SEED)
    values = []
    for spec in specs:
        dtype = tf.as_dtype(spec.dtype)
        if dtype == tf.string:
            return None
        sizes = [8 if size is None else size for size in spec.shape[1:]]
        shape = (spec.shape[0] or _NUM_PROBES, *sizes)
        drawn = generator.integers(0, 2, shape) if dtype.is_integer or dtype.is_bool else generator.random(shape)
        values.append(drawn.astype(dtype.as_numpy_dtype))
    return values


class _Rebuilder:
    """Walks a model's graph and applies a copy of each layer to the copies of its inputs."""

    def __init__(self, prefix: str, change: Callable[[Any], Any]) -> None:
        self._prefix = prefix
        self._change = change
        # By id of the original, so that a layer which is used twice is copied once.
        self._copies: dict[int, tuple[tf_keras.layers.Layer, tf_keras.layers.Layer]] = {}
        self._names: set[str] = set()

    def run(
        self, model: tf_keras.Model, inputs: Sequence[Any], path: tuple[str, ...], renamed: Mapping[int, str]
    ) -> list[Any]:
        """Returns the outputs of a model for its inputs, as tensors of the copy.

        Args:
          model: The model, or a nested one.
          inputs: One tensor per input.
          path: Names of the models around it.
          renamed: Names for layers, by id, that do not get their own.
        """
        tensors = {str(id(tensor)): value for tensor, value in zip(model.inputs, inputs, strict=True)}
        for node in nodes_in_order(model):
            if node.is_input or any(key not in tensors for key in node.flat_input_ids):
                continue
            outputs = self._call(node, tensors, model, path, renamed)
            tensors.update(zip(node.flat_output_ids, outputs, strict=True))
        return [tensors[str(id(tensor))] for tensor in model.outputs]

    def copy_weights(self) -> None:
        """Gives the copies the weights of their originals."""
        for original, copy in self._copies.values():
            copy.set_weights(original.get_weights())
            if isinstance(copy, tf_keras.layers.Normalization):
                # It computes with constants that it derives from its weights.
                copy.finalize_state()

    def _call(
        self,
        node: Any,
        tensors: Mapping[str, Any],
        model: tf_keras.Model,
        path: tuple[str, ...],
        renamed: Mapping[int, str],
    ) -> list[Any]:
        arguments: dict[str, list[Any]] = defaultdict(list)
        for key in node.flat_input_ids:
            arguments[key].append(tensors[key])
        args, kwargs = node.map_arguments(arguments)
        layer = node.layer
        name = renamed.get(id(layer)) or "_".join((*path, layer.name))
        if isinstance(layer, tf_keras.Model):
            # A nested model that gives an output hands its name to its last layer: outputs are named by layers.
            is_output = name in model.output_names and len(layer.outputs) == 1
            inner = {id(layer.outputs[0].node.layer): name} if is_output else {}
            return self.run(layer, flat_inputs(layer, args[0]), (*path, layer.name), inner)
        return list(tf.nest.flatten(self._copy(layer, name)(*args, **kwargs)))

    def _copy(self, layer: tf_keras.layers.Layer, name: str) -> tf_keras.layers.Layer:
        if id(layer) not in self._copies:
            config = {
                **self._change(_in_full_precision(_full_config(layer))),
                "name": self._unique(self._prefix + name),
            }
            self._copies[id(layer)] = (layer, type(layer).from_config(config))
        return self._copies[id(layer)][1]

    def _unique(self, name: str) -> str:
        number = 1
        unique = name
        while unique in self._names:
            number += 1
            unique = f"{name}_{number}"
        self._names.add(unique)
        return unique


def _full_config(layer: tf_keras.layers.Layer) -> dict[str, Any]:
    """Returns a layer's configuration, with the vocabulary that after loading is in a table only."""
    config: dict[str, Any] = layer.get_config()
    # One that was adapted counts its table among its weights, which are copied.
    if "vocabulary" in config and not layer.get_weights() and lookup_tables(layer):
        words = layer.get_vocabulary(include_special_tokens=False)
        config["vocabulary"] = words or config["vocabulary"]
    return config


def _in_full_precision(config: Any) -> Any:
    """Replaces 16-bit dtype policies in a layer's configuration, and in those of the layers inside it."""
    if isinstance(config, tuple):
        return tuple(_in_full_precision(item) for item in config)
    if isinstance(config, list):
        return [_in_full_precision(item) for item in config]
    if not isinstance(config, dict):
        return config
    replaced = {key: _in_full_precision(value) for key, value in config.items()}
    if "dtype" in replaced:
        replaced["dtype"] = _policy_in_full_precision(replaced["dtype"])
    return replaced


def _policy_in_full_precision(policy: Any) -> Any:
    name = policy.get("config", {}).get("name", "") if isinstance(policy, dict) else policy
    return "float32" if name in _HALF_PRECISION else policy


def _flat_call(model: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    outputs = model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)
    return [np.asarray(output, np.float64) for output in tf.nest.flatten(outputs)]
