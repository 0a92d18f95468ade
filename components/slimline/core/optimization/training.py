"""Fine-tuning: the short training that a model gets while it is pruned, clustered or prepared for quantization."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, cos, isfinite, pi
from typing import Any

import tensorflow as tf
import tf_keras

from slimline.core.internals.keras2 import LazyLogsCallback, compile_arguments, output_keys
from slimline.core.models.keras3_compiling import not_carried_over
from slimline.core.models.weights import non_finite_variables
from slimline.core.optimization.distillation import taught_by
from slimline.core.optimization.training_batches import augmented, order_labels, weighted
from slimline.core.optimization.training_config import FineTuningConfig
from slimline.core.user_code import load_function
from slimline.errors import ConfigError, ModelError


@dataclass(frozen=True)
class Watch:
    """Where fine-tuning tells how it goes; both are optional.

    Attributes:
      log_folder: For TensorBoard.
      report: Called with a line of text at the end of each epoch.
    """

    log_folder: str | None = None
    report: Callable[[str], None] | None = None


def num_steps(num_examples: int, config: FineTuningConfig) -> int:
    """Returns the steps of the whole fine-tuning; the last, smaller batch of an epoch is a step too.

    Raises:
      ConfigError: A batch is larger than the data.
    """
    if config.batch_size > num_examples:
        raise ConfigError(
            f"batch_size={config.batch_size} for {num_examples} example(s)",
            f"at most {num_examples}",
            "lower batch_size, or give more examples",
        )
    return ceil(num_examples / config.batch_size) * config.epochs


def fine_tune(
    model: tf_keras.Model,
    original: tf_keras.Model,
    dataset: tf.data.Dataset,
    config: FineTuningConfig,
    *,
    steps: int,
    callbacks: Sequence[tf_keras.callbacks.Callback] = (),
    watch: Watch | None = None,
) -> None:
    """Trains `model` in place.

    Args:
      model: The model with TFMOT's wrappers around its layers, its outputs in the original's order.
      original: The model that it was made from, for its loss and optimizer.
      dataset: Batches of (inputs, label); with several outputs the label is a dictionary by output name, or a list.
      config: Epochs, rate, loss.
      steps: Of all epochs together, as `num_steps` gives them.
      callbacks: TFMOT's callbacks.
      watch: Where to tell of the progress.

    Raises:
      ConfigError: There is no loss, or `train_fn` can't be loaded.
      ModelError: The loss or a weight became NaN or infinite; the message says at which step.
    """
    watch = watch or Watch()
    compile_like(model, original, config)
    every = [*callbacks, _StopAtNonFiniteLoss(config)]
    if watch.report is not None:
        every.append(_Report(watch.report, config.epochs))
    if watch.log_folder is not None:
        every.append(tf_keras.callbacks.TensorBoard(watch.log_folder, write_graph=False))
    if config.rate_schedule == "cosine":
        every.append(_CosineRate(config.learning_rate, steps))
    batches = weighted(order_labels(augmented(dataset, config), original.output_names), config)
    with taught_by(original, model, config):
        if config.train_fn is not None:
            load_function(config.train_fn, "train_fn")(model, batches, config.epochs, every)
        else:
            model.fit(batches, epochs=config.epochs, callbacks=every, verbose=0)
    broken = non_finite_variables(model)
    if broken:
        raise _diverged(f"NaN or infinity in {', '.join(broken[:5])} after {config.epochs} epoch(s)", config)


def compile_like(model: tf_keras.Model, original: tf_keras.Model, config: FineTuningConfig) -> None:
    """Compiles `model` with the loss and the optimizer of `original`, so that the next technique finds them too.

    Raises:
      ConfigError: Neither the original nor the configuration has a loss, or there is no loss, metric or optimizer of
        the given name.
    """
    by_output = original.output_names
    arguments = _by_output_name(compile_arguments(original), original)
    _refuse_dropped(original, config)
    loss = config.loss or arguments.get("loss")
    if loss is None:
        raise ConfigError(
            "a model that was saved without a loss, and no loss in the configuration",
            "the name of a Keras loss",
            'compile the model before it is saved, or give loss="sparse_categorical_crossentropy" or the like',
        )
    weights = None if config.loss else arguments.get("loss_weights")
    model.compile(
        optimizer=_optimizer(original, config),
        loss=_in_order(_checked_loss(loss, by_output), by_output),
        metrics=list(config.metrics) or _metrics_in_order(arguments.get("metrics"), by_output),
        weighted_metrics=_metrics_in_order(arguments.get("weighted_metrics"), by_output),
        loss_weights=_in_order(weights, by_output),
    )


def _by_output_name(arguments: Mapping[str, Any], original: tf_keras.Model) -> Mapping[str, Any]:
    """Names by outputs what a model that gives a dictionary was compiled with by the dictionary's keys."""
    renamed = dict(zip(output_keys(original), original.output_names, strict=False))

    def rename(values: Any) -> Any:
        return (
            {renamed.get(key, key): value for key, value in values.items()} if isinstance(values, Mapping) else values
        )

    return {name: rename(values) for name, values in arguments.items()}


def _refuse_dropped(original: tf_keras.Model, config: FineTuningConfig) -> None:
    """Refuses what a Keras 3 model was compiled with and tf_keras lacks, unless the configuration replaces it."""
    replaced = {"loss": config.loss, "optimizer": config.optimizer, "metrics": config.metrics}
    for field, name in not_carried_over(original).items():
        if not replaced[field]:
            raise ConfigError(
                f"a model of Keras 3 that was compiled with the {field} {name}, which tf_keras has not",
                f"{field} that Keras 3 and tf_keras both have",
                f"name Keras' own in their place: {field}=… in the configuration",
            )


def _optimizer(original: tf_keras.Model, config: FineTuningConfig) -> tf_keras.optimizers.Optimizer:
    compiled = getattr(original, "optimizer", None)
    if config.optimizer is not None or compiled is None:
        name = config.optimizer or "adam"
        try:
            optimizer = tf_keras.optimizers.get(name)
        except ValueError:
            raise ConfigError(f"optimizer={name!r}", "the name of a Keras optimizer", "write adam, sgd, …") from None
        optimizer.learning_rate = config.learning_rate
        return optimizer
    # Half precision wraps the optimizer; the copy that is trained is in float32.
    compiled = getattr(compiled, "inner_optimizer", compiled)
    options = {**compiled.get_config(), "learning_rate": config.learning_rate}
    if "use_ema" in options:
        # Averages would overwrite the weights after the last step, zeros and clusters too.
        options["use_ema"] = False
    # A schedule of the original training has run out: the rate is that of the configuration.
    return type(compiled).from_config(options)


def _checked_loss(loss: Any, output_names: Sequence[str]) -> Any:
    """Finds losses that are given by name, and refuses outputs that the model does not have."""
    if isinstance(loss, Mapping):
        missing = sorted(set(loss) ^ set(output_names))
        if missing:
            raise ConfigError(
                f"losses for {', '.join(sorted(loss))}, which differ from the outputs in {', '.join(missing)}",
                f"a loss for each of {', '.join(output_names)}",
                "correct the names in loss={…}",
            )
        return {name: _checked_loss(value, output_names) for name, value in loss.items()}
    if not isinstance(loss, str):
        return loss
    try:
        return tf_keras.losses.get(loss)
    except ValueError:
        raise ConfigError(
            f"loss={loss!r}", "the name of a Keras loss", "see https://keras.io/api/losses for the names"
        ) from None


def _fresh_metrics(metrics: Any, output_names: Sequence[str]) -> Any:
    """Returns metrics without the state of the training that they come from."""
    if isinstance(metrics, Mapping):
        return {name: _fresh_metrics(value, output_names) for name, value in metrics.items()}
    if isinstance(metrics, list | tuple):
        return [_fresh_metrics(value, output_names) for value in metrics]
    if not isinstance(metrics, tf_keras.metrics.Metric):
        return metrics
    # Of several outputs Keras puts the output's name before that of the metric, anew each time it is compiled.
    # One output's name may begin with another's.
    outputs = sorted(output_names, key=len, reverse=True) if len(output_names) > 1 else ()
    prefix = next((f"{name}_" for name in outputs if metrics.name.startswith(f"{name}_")), "")
    return type(metrics).from_config({**metrics.get_config(), "name": metrics.name.removeprefix(prefix)})


def _metrics_in_order(metrics: Any, output_names: Sequence[str]) -> Any:
    """Returns each output's metrics as a list of its own: Keras takes those of a plain list for every output."""
    ordered = _in_order(_fresh_metrics(metrics, output_names), output_names)
    if not isinstance(metrics, Mapping):
        return ordered
    return [list(each) if isinstance(each, list | tuple) else [each] * (each is not None) for each in ordered]


def _in_order(values: Any, output_names: Sequence[str]) -> Any:
    """Turns a dictionary by output name into a list: wrappers change the names of outputs, not their order."""
    return [values.get(name) for name in output_names] if isinstance(values, Mapping) else values


def _diverged(found: str, config: FineTuningConfig) -> ModelError:
    return ModelError(
        found,
        "finite losses and weights",
        f"lower learning_rate (it was {config.learning_rate:g}), and check the examples for NaN",
    )


class _StopAtNonFiniteLoss(LazyLogsCallback):
    def __init__(self, config: FineTuningConfig) -> None:
        super().__init__()
        self._config = config
        self._step = 0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._step += 1
        loss = float((logs or {}).get("loss", 0.0))
        if not isfinite(loss):
            raise _diverged(f"a loss of {loss} at step {self._step} of fine-tuning", self._config)


class _CosineRate(LazyLogsCallback):
    """Lowers the rate step by step; the number of steps counts from the first one of this training."""

    def __init__(self, highest: float, num_steps: int) -> None:
        super().__init__()
        self._highest = highest
        self._num_steps = num_steps
        self._step = 0

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        done = min(1.0, self._step / self._num_steps)
        self.model.optimizer.learning_rate.assign(self._highest * (1 + cos(pi * done)) / 2)
        self._step += 1


class _Report(tf_keras.callbacks.Callback):
    def __init__(self, report: Callable[[str], None], num_epochs: int) -> None:
        super().__init__()
        self._tell = report
        self._num_epochs = num_epochs

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        values = ", ".join(f"{name} {float(value):.4g}" for name, value in (logs or {}).items())
        self._tell(f"epoch {epoch + 1}/{self._num_epochs}, {values}")
