"""Looks at a sample that was drawn, and says what is wrong with it."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfx.dsl.io import fileio

from slimline.core.examples.batches import representative_inputs
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.example_features import example_parser, stratum_of, values_of
from slimline.core.examples.features import load_schema
from slimline.core.examples.records import check_records, read_all
from slimline.core.models.loading import load_model
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.production import convert_float, gather_records
from slimline.core.quantization.stability import Stability, range_stability
from slimline.core.sampling.rank import SamplingConfig
from slimline.core.sampling.statistics import (
    FeatureStatistics,
    constant,
    describe_features,
    describe_inputs,
    non_finite,
)
from slimline.errors import ExamplesError
from slimline.names import file_names
from slimline.shells import shell

_TIME_LIMIT_S = 600


@dataclass(frozen=True)
class Problem:
    """Something that a good sample does not have.

    Attributes:
      check: `overlap`, `non_finite`, `constant`, `shortage` or `stability`; `on_<check>` of the configuration says what
        to do. An unstable sample is a warning always.
      text: What it is.
    """

    check: str
    text: str


@dataclass(frozen=True)
class Description:
    """What is in a sample.

    Attributes:
      records_digest: `sha256:<hex>` of the records' file.
      features: Statistics of each feature.
      inputs: Statistics of each input of the model; empty without a model.
      strata: Number of sampled records of each stratum; empty without strata.
      stability: Of the ranges of the model's outputs; None without a model.
    """

    records_digest: str
    features: Mapping[str, FeatureStatistics]
    inputs: Mapping[str, FeatureStatistics] = field(default_factory=dict)
    strata: Mapping[str, int] = field(default_factory=dict)
    stability: Stability | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns what the manifest says of it."""
        return {
            "records_digest": self.records_digest,
            "features": {name: feature.to_dict() for name, feature in self.features.items()},
            "inputs": {name: feature.to_dict() for name, feature in self.inputs.items()},
            "num_records_by_stratum": dict(self.strata),
            "stability": self.stability.to_dict() if self.stability else None,
        }


def describe_sample(input_dict: shell.ArtifactsByKey, data: str, folder: str, config: SamplingConfig) -> Description:
    """Reads the records that were written to a folder, and runs the model on them where there is one.

    Raises:
      ExamplesError: The records do not fit the model.
    """
    path = f"{folder}/{file_names.CALIBRATION_RECORDS}"
    with fileio.open(path, "rb") as stream:
        digest = "sha256:" + hashlib.sha256(stream.read()).hexdigest()
    records = list(read_all((path,)))
    features = describe_features(records)
    strata = _count_strata(records, config)
    if not input_dict.get("model") or not records:
        return Description(digest, features, strata=strata)
    examples_config = ExamplesConfig.from_json(data)
    with shell.local_folder(shell.single(input_dict, "model").uri) as source:
        model = load_model(source, config.custom_objects)
    schema = load_schema(shell.schema_file(shell.single(input_dict, "schema")))
    checked = check_records((path,))
    gathered = gather_records(model, lambda: representative_inputs(checked, schema, model, examples_config), limit=None)
    assert gathered is not None
    float_content = convert_float(model, QuantizationConfig(scheme="float32"))
    stability = range_stability(float_content, gathered.inputs, _TIME_LIMIT_S)
    return Description(digest, features, describe_inputs(gathered.inputs), strata, stability)


def check_sample(
    manifest: Mapping[str, Any], description: Description, found: Sequence[str], config: SamplingConfig
) -> list[Problem]:
    """Returns everything that is wrong with a sample.

    Args:
      manifest: What was drawn.
      description: What is in it.
      found: Ranks of the records that are in the evaluation split too.
      config: What was asked for.
    """
    looked_at = description.inputs or description.features
    problems = [Problem("shortage", text) for text in _shortages(manifest, config)]
    if found:
        problems.append(
            Problem("overlap", f"{len(found)} sampled record(s) are in split {config.evaluation_split!r} as well")
        )
    problems += [Problem("non_finite", text) for text in non_finite(looked_at)]
    problems += [Problem("constant", text) for text in constant(looked_at)]
    if description.stability is not None and description.stability.warning:
        problems.append(Problem("stability", description.stability.warning))
    return problems


def raise_errors(problems: Sequence[Problem], config: SamplingConfig) -> None:
    """Fails when a problem is one that the configuration does not let pass, and says all of them.

    Raises:
      ExamplesError: There is one.
    """
    errors = [problem for problem in problems if getattr(config, f"on_{problem.check}", "warn") == "error"]
    if errors:
        options = sorted({f"on_{problem.check}='warn'" for problem in errors})
        raise ExamplesError(
            "; ".join(problem.text for problem in errors),
            "distinct, finite records that differ in every input and are not used for the evaluation",
            f"correct the data or the sampling, or let it pass with {', '.join(options)}",
        )


def _shortages(manifest: Mapping[str, Any], config: SamplingConfig) -> list[str]:
    texts = []
    if manifest["num_records"] < config.num_records:
        texts.append(
            f"{manifest['num_records']} distinct record(s) among the {manifest['num_scanned']} of split "
            f"{config.split!r}, where {config.num_records} are asked for"
        )
    if config.strata is not None:
        texts += [
            f"{number} distinct record(s) with {config.strata.feature} = {name}, where {config.strata.min_records} are "
            "asked for"
            for name, number in manifest["strata"]["num_reserved"].items()
            if number < config.strata.min_records
        ]
    return texts


def _count_strata(records: Sequence[bytes], config: SamplingConfig) -> dict[str, int]:
    if config.strata is None:
        return {}
    parse, feature = example_parser(), config.strata.feature
    counts = Counter(stratum_of(values_of(parse(record), feature), feature) for record in records)
    return dict(sorted(counts.items()))
