"""Writes what a quantized model is delivered with: the file, its ends, its report."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.features import match_inputs
from slimline.core.models.loading import TrainedModel
from slimline.core.models.saving import write_tflite
from slimline.core.quantization.advisor import Advice
from slimline.core.quantization.backends.base import Representative
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.production import Examination, Product, SampleInputs, examine, gather_records
from slimline.core.quantization.report import make_report
from slimline.core.quantization.report_types import QuantizationReport
from slimline.core.quantization.stability import range_stability
from slimline.core.tflite.flatbuffer import has_select_ops
from slimline.core.tflite.io_spec import IoSpec, describe_ends
from slimline.core.tflite.provenance import Origin, stamp
from slimline.names import file_names

_PREPROCESSING_LAYERS = ("Rescaling", "Normalization", "Resizing", "CenterCrop", "Discretization", "CategoryEncoding")


@dataclass(frozen=True)
class Package:
    """A quantized model with all that is known of it.

    Attributes:
      content: Bytes of the `.tflite` file, with its provenance entry.
      io_spec: Of its inputs and outputs.
      report: What a person should know of it.
      examination: What came out when it ran; None when it can't be tried here, and the report says why.
    """

    content: bytes
    io_spec: IoSpec
    report: QuantizationReport
    examination: Examination | None

    def write(self, folder: Path) -> Path:
        """Writes the three files into a model's artifact and returns the report's path."""
        serving = write_tflite(self.content, folder).parent
        _write_json(serving / file_names.IO_SPEC, self.io_spec.to_dict())
        return _write_json(folder / file_names.QUANTIZATION_REPORT, self.report.to_dict())


@dataclass(frozen=True)
class InputOrigins:
    """What is known of where a model's inputs come from.

    Attributes:
      features: The feature of each input, as far as it is known.
      preprocessing: What has to be done to it, in words.
      label_names: Names of the classes in their order; empty when unknown.
    """

    features: Mapping[str, str]
    preprocessing: str
    label_names: tuple[str, ...] = ()


def package(
    model: TrainedModel,
    config: QuantizationConfig,
    product: Product,
    representative: Representative | None,
    *,
    inputs: InputOrigins,
    origin: Origin,
    advice: Advice | None = None,
) -> Package:
    """Runs a file, and gathers what is delivered with it.

    Args:
      model: The original.
      config: The scheme, decided.
      product: The file, and the float file.
      representative: Gives the calibration records; None when there are none.
      inputs: Where the model's inputs come from.
      origin: What the file is made of.
      advice: How the scheme was chosen, when the advisor did.

    Raises:
      ModelError: The file can't be run.
    """
    stamped = Product(stamp(product.content, origin.provenance_id), product.float_content, product.selection)
    # There are no kernels here to try a file with that needs TensorFlow's.
    records = None if has_select_ops(stamped.content) else gather_records(model, representative)
    examination = examine(model, stamped, records, config.time_limit_s) if records else None
    stability = None
    if records is not None and records.source == "calibration":
        stability = range_stability(product.float_content, records.inputs, config.time_limit_s)
    report = make_report(
        config,
        stamped,
        examination,
        records,
        layer_names=[layer.name for layer in model.layers] if isinstance(model, tf_keras.Model) else (),
        origin=origin,
        advice=advice,
        stability=stability,
    )
    io_spec = describe_ends(
        stamped.content,
        inputs=_observed(records),
        features=inputs.features,
        preprocessing=" ".join([inputs.preprocessing, *_inner_preprocessing(model)]),
        label_names=config.label_names or inputs.label_names,
    )
    return Package(stamped.content, io_spec, report, examination)


def find_input_origins(
    model: TrainedModel, schema: schema_pb2.Schema | None, data: ExamplesConfig | None
) -> InputOrigins:
    """Finds out where a model's inputs come from.

    Args:
      model: The model.
      schema: Of the Examples; None when there are none.
      data: How Examples are read.
    """
    if schema is None or data is None:
        return InputOrigins({}, "Unknown: the model was quantized without examples.")
    own_code = data.preprocessing_fn or data.input_fn
    if own_code is not None:
        return InputOrigins({}, f"What {own_code} does to the examples.", _label_names(schema, data))
    matched = match_inputs(model, schema, data.input_features, frozenset(data.label_features.values()))
    features = {name: feature.name for name, (feature, _) in matched.items()}
    return InputOrigins(
        features, "None: inputs are the features' values as they stand in the examples.", _label_names(schema, data)
    )


def _label_names(schema: schema_pb2.Schema, data: ExamplesConfig) -> tuple[str, ...]:
    """Returns the values of a label that the schema lists, which is one of strings."""
    wanted = list(data.label_features.values())
    domains = [feature.string_domain.value for feature in schema.feature if wanted == [feature.name]]
    return tuple(domains[0]) if domains else ()


def _inner_preprocessing(model: TrainedModel) -> list[str]:
    if not isinstance(model, tf_keras.Model):
        return []
    inner = [layer.name for layer in model.layers if type(layer).__name__ in _PREPROCESSING_LAYERS]
    return [f"The file itself applies {', '.join(inner)}."] if inner else []


def _observed(records: SampleInputs | None) -> Mapping[str, np.ndarray]:
    return records.inputs if records is not None and records.source == "calibration" else {}


def _write_json(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    return path
