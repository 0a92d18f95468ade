"""What a Keras 3 model was compiled with, in tf_keras' words: loss, weights of losses, metrics, optimizer.

Nothing is dropped: what tf_keras has no equal for is kept by name on the translated model, and fine-tuning refuses it
unless its configuration gives something in its place.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import tensorflow as tf
import tf_keras

from slimline.core.internals.keras3 import graph_of, output_keys

# Attribute of a translated model: what could not be carried over, by the field of the configuration that replaces it.
_NOT_CARRIED = "_not_carried_over"
# Keras 3 alone has these; the first matters for half precision only, and what is fine-tuned is in float32.
_WITHOUT_EFFECT = "loss_scale_factor"
_ACCUMULATION = "gradient_accumulation_steps"


def not_carried_over(model: Any) -> Mapping[str, str]:
    """Returns what of a Keras 3 model's compilation has no equal, as `loss`, `optimizer` or `metrics` and its name."""
    return dict(getattr(model, _NOT_CARRIED, ()))


def compile_alike(model: Any, translated: tf_keras.Model) -> None:
    """Compiles a translated model as the original was.

    Args:
      model: Of Keras 3, compiled or not.
      translated: The same in tf_keras, with its outputs in the same order.
    """
    config = model.get_compile_config() if getattr(model, "compiled", False) else None
    if not config:
        return
    renamed = {
        name: translated_name
        for names in (graph_of(model).output_names, output_keys(model))
        for name, translated_name in zip(names, translated.output_names, strict=False)
    }
    missing: dict[str, str] = {}
    loss = _or_missing("loss", missing, lambda: _translate_loss(config.get("loss"), model.loss, renamed))
    optimizer = _or_missing("optimizer", missing, lambda: _translate_optimizer(model.optimizer))
    metrics = {
        key: _or_missing("metrics", missing, partial(_translate_metrics, config.get(key), renamed))
        for key in ("metrics", "weighted_metrics")
    }
    setattr(translated, _NOT_CARRIED, tuple(missing.items()))
    if loss is not None:
        weights = _by_output(config.get("loss_weights"), renamed, lambda value: value)
        translated.compile(optimizer or "adam", loss, loss_weights=weights, **metrics)


class _NoEqualError(Exception):
    """Carries the name of what tf_keras lacks."""


def _or_missing(field: str, missing: dict[str, str], translate: Callable[[], Any]) -> Any:
    try:
        return translate()
    except _NoEqualError as error:
        missing[field] = str(error)
        return None


def _translate_optimizer(compiled: Any) -> Any:
    # Half precision wraps the optimizer.
    compiled = getattr(compiled, "inner_optimizer", compiled)
    kind = type(compiled).__name__
    counterpart = getattr(tf_keras.optimizers, kind, None)
    if counterpart is None or not _is_keras(type(compiled)):
        raise _NoEqualError(kind)
    options = {key: value for key, value in compiled.get_config().items() if key != _WITHOUT_EFFECT}
    steps = options.pop(_ACCUMULATION, None)
    if steps is not None:
        raise _NoEqualError(f"{kind} with {_ACCUMULATION}={steps}")
    try:
        rate = options["learning_rate"]
        if isinstance(rate, dict):
            options["learning_rate"] = tf_keras.optimizers.schedules.deserialize(_plain(rate))
        return counterpart.from_config(options)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _NoEqualError(f"{kind} ({error})") from error


def _translate_loss(serialized: Any, given: Any, renamed: Mapping[str, str]) -> Any:
    for loss in tf.nest.flatten(given):
        # A serialized function has its name alone: one of the user's may have that of one of Keras'.
        if loss is not None and not isinstance(loss, str) and not _is_keras(loss):
            raise _NoEqualError(getattr(loss, "__name__", type(loss).__name__))

    def translate(value: Any) -> Any:
        return None if value is None else _find(tf_keras.losses.get, value)

    return _by_output(serialized, renamed, translate)


def _translate_metrics(serialized: Any, renamed: Mapping[str, str]) -> Any:
    def translate(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [translate(each) for each in value]
        # Which accuracy it is depends on loss and labels: Keras finds out.
        if value is None or value in ("accuracy", "acc", "crossentropy", "ce"):
            return value
        if isinstance(value, dict) and value["class_name"] != "function" and not _is_keras_module(value["module"]):
            raise _NoEqualError(value["class_name"])
        return _find(tf_keras.metrics.get, value)

    return _by_output(serialized, renamed, translate)


def _find(get: Callable[[Any], Any], value: Any) -> Any:
    name = value
    if isinstance(value, dict):
        name = value["config"] if value["class_name"] == "function" else value["class_name"]
        value = name if value["class_name"] == "function" else _plain(value)
    try:
        return get(value)
    except (ValueError, TypeError, KeyError) as error:
        raise _NoEqualError(str(name)) from error


def _by_output(values: Any, renamed: Mapping[str, str], translate: Callable[[Any], Any]) -> Any:
    if isinstance(values, dict) and "class_name" not in values:
        return {renamed.get(key, key): translate(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [translate(value) for value in values]
    return translate(values)


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Drops the keys by which Keras 3 finds classes from a serialized object."""
    return {key: inner for key, inner in value.items() if key in ("class_name", "config")}


def _is_keras(thing: Any) -> bool:
    named = thing if isinstance(thing, type) or hasattr(thing, "__qualname__") else type(thing)
    return _is_keras_module(getattr(named, "__module__", None))


def _is_keras_module(module: str | None) -> bool:
    return module is not None and module.split(".")[0] == "keras"
