"""Quantizes a model: from the folder that it lies in to the folder that the file, its report and its ends go to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.digest import file_digest, model_digest
from slimline.core.examples.batches import representative_inputs
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.records import check_records, files_digest
from slimline.core.models.input_shapes import with_input_shapes
from slimline.core.models.loading import SavedModelGraph, TrainedModel, load_keras_model
from slimline.core.optimization.qat import train_quantization_aware
from slimline.core.optimization.qat_config import QatConfig
from slimline.core.optimization.stage_evaluation import compare_parts, evaluate_parts, harm
from slimline.core.optimization.training import Watch
from slimline.core.optimization.training_data import evaluation_parts, read_training_data
from slimline.core.optimization.weight_history import (
    TrainingSummary,
    WeightSnapshot,
    load_history,
    lost_in_file,
    require_kept,
    save_history,
)
from slimline.core.quantization.backends.base import Representative
from slimline.core.quantization.configuration import QuantizationConfig, resolve_scheme
from slimline.core.quantization.conversion import convert_quantization_aware
from slimline.core.quantization.packaging import Package, find_input_origins, package
from slimline.core.quantization.production import Product, Tell, convert_float, produce
from slimline.core.tflite.flatbuffer import WeightTensor, weight_tensors
from slimline.core.tflite.provenance import describe_origin
from slimline.core.tflite.source import open_model
from slimline.names import file_names


def _silent(text: str) -> None:
    pass


@dataclass(frozen=True)
class QuantizationRequest:
    """What to quantize, how, and on which records.

    Attributes:
      model: Folder or file, as a Trainer or an optimization wrote it.
      config: As the user gave it; `auto` is decided by the records that there are.
      calibration: Files of calibration records; empty when there are none.
      training_files: Gives the files of the split to train on, and is called when the scheme asks for training alone;
        None when there are no labelled examples.
      held_files: Gives the files of a split that training is only measured on, likewise; empty when there is none.
      schema: Of the records; needed with any of them.
      data: How records are read; needed with any of them.
      watch: Where the training tells how it goes.
      tell: Takes a line for each file that is tried on the way.
    """

    model: Path
    config: QuantizationConfig
    calibration: Sequence[str] = ()
    training_files: Callable[[], Sequence[str]] | None = None
    held_files: Callable[[], Sequence[str]] = tuple
    schema: schema_pb2.Schema | None = None
    data: ExamplesConfig | None = None
    watch: Watch = field(default_factory=Watch)
    tell: Tell = _silent


@dataclass(frozen=True)
class WrittenFile:
    """Digests of what was written, each as `sha256:<hex>`.

    Attributes:
      content_digest: Of the `.tflite` file.
      report_digest: Of `quantization_report.json`.
      gains_digest: Of `gains.json`.
      io_spec_digest: Of `io_spec.json`.
    """

    content_digest: str
    report_digest: str
    gains_digest: str
    io_spec_digest: str


@dataclass(frozen=True)
class QuantizedModel:
    """A quantized model and what became of its weights.

    Attributes:
      config: The scheme, decided.
      package: The file, its ends and its report.
      source_digest: Of the model that was given.
      history: Every snapshot of the weights before, the original first; empty for a graph without layers.
      tensors: The kernels of the file.
      lost: What earlier techniques had gained and the file lost, in words.
      training: What quantization-aware training did; None without it.
    """

    config: QuantizationConfig
    package: Package
    source_digest: str
    history: tuple[WeightSnapshot, ...]
    tensors: tuple[WeightTensor, ...]
    lost: tuple[str, ...]
    training: TrainingSummary | None

    def write(self, folder: Path) -> WrittenFile:
        """Writes the file, its ends and its report, and `gains.json` beside them."""
        report = self.package.write(folder)
        gains = save_history(folder, self.history, self.lost, tensors=self.tensors, training=self.training)
        io_spec = folder / file_names.SERVING_FOLDER / file_names.IO_SPEC
        return WrittenFile(model_digest(folder), file_digest(report), file_digest(gains), file_digest(io_spec))


def quantize_model(request: QuantizationRequest) -> QuantizedModel:
    """Loads a model, trains it where that is asked for, converts it, runs the file, and looks for what that lost.

    Raises:
      ModelError: The model can't be loaded, converted or run; or a gain is lost, and `on_lost_gain` is `error`.
      ExamplesError: A record is broken, or the records do not fit the model.
      ConfigError: The configuration does not fit the model or the records.
    """
    config, advice = resolve_scheme(
        request.config,
        has_calibration=bool(request.calibration),
        has_examples=request.training_files is not None,
    )
    load = open_model if config.training is None else load_keras_model
    model = with_input_shapes(load(request.model, config.custom_objects), config.input_shape)
    source_digest = model_digest(request.model)
    history = () if isinstance(model, SavedModelGraph) else load_history(request.model, model)
    representative = _representative(request, model)
    training_files = _training_files(request, config)
    if training_files:
        product, training = _train(request, config, model, representative, training_files)
    else:
        product, training = produce(model, config, representative, request.tell), None
    origin = describe_origin(
        source_digest=source_digest,
        config=config.to_json(),
        backend=config.backend,
        calibration_digest=files_digest(request.calibration) if request.calibration else None,
        training_digest=files_digest(training_files) if training_files else None,
    )
    inputs = find_input_origins(model, request.schema, request.data)
    packed = package(model, config, product, representative, inputs=inputs, origin=origin, advice=advice)
    tensors = weight_tensors(packed.content)
    lost = lost_in_file(history[-1], tensors, config.scheme) if history else ()
    require_kept(lost, config.on_lost_gain)
    return QuantizedModel(config, packed, source_digest, history, tensors, lost, training)


def _training_files(request: QuantizationRequest, config: QuantizationConfig) -> tuple[str, ...]:
    if config.training is None:
        return ()
    assert request.training_files is not None
    return tuple(request.training_files())


def _train(
    request: QuantizationRequest,
    config: QuantizationConfig,
    model: TrainedModel,
    representative: Representative | None,
    files: Sequence[str],
) -> tuple[Product, TrainingSummary]:
    """Trains quantization-aware and converts; returns the file, and what the training kept and left."""
    assert request.schema is not None
    assert request.data is not None
    qat = config.qat or QatConfig()
    training = read_training_data(files, request.schema, model, qat, request.data)
    held_files = request.held_files()
    parts = evaluation_parts(training, held_files, request.schema, model, qat, request.data)
    before = evaluate_parts(model, model, parts, qat)
    trained = train_quantization_aware(model, training.dataset, training.num_examples, qat, watch=request.watch)
    evaluations = compare_parts(before, evaluate_parts(trained.model, model, parts, qat))
    harmed = harm(evaluations, qat)
    for line in (*(each.describe() for each in evaluations), *([f"worse: {harmed}"] if harmed else [])):
        request.tell(line)
    content = convert_quantization_aware(trained, representative, config)
    return Product(content, convert_float(model, config)), TrainingSummary(
        trained.collaborations, trained.left, evaluations, harmed
    )


def _representative(request: QuantizationRequest, model: TrainedModel) -> Representative | None:
    """Returns the calibration records as inputs, after checking that they can be read."""
    if not request.calibration:
        return None
    assert request.schema is not None
    assert request.data is not None
    schema, data = request.schema, request.data
    records = check_records(request.calibration)

    def read() -> Iterator[dict[str, Any]]:
        return representative_inputs(records, schema, model, data)

    # The first record shows whether schema and model fit together: before the conversion rather than inside of it.
    next(read())
    return read
