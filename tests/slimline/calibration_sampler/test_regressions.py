"""What once went wrong with a calibration sample."""

import json
import math
from pathlib import Path

import pytest
import tf_keras
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from slimline import CalibrationDataset, ExamplesConfig, SamplingConfig
from slimline.calibration_sampler.executor import CalibrationSamplerExecutor
from slimline.core.quantization.stability import Stability
from slimline.core.sampling.rank import record_rank
from slimline.core.sampling.statistics import constant, describe_features
from slimline.errors import ConfigError, ExamplesError
from slimline.names import file_names
from slimline.transforms.runner import pinned_arguments
from slimline.transforms.sampling import MergeParts, sample_file, source_files, write_sample
from tests.artifacts import examples_artifact, model_artifact, output, schema_artifact
from tests.conftest import write_records
from tests.records import tf_example

SCHEMA = """
feature { name: "age" type: INT shape { dim { size: 1 } } }
feature { name: "size" type: FLOAT shape { dim { size: 1 } } }
"""
EVALUATION = [tf_example(age=number, size=9.5) for number in range(1000, 1004)]


def with_model(tmp_path, records, **options):
    layers = tf_keras.layers
    given = [layers.Input((1,), name="age"), layers.Input((1,), name="size")]
    hidden = layers.Dense(4, activation="relu", name="hidden")(layers.Concatenate(name="both")(given))
    model = tf_keras.Model(given, layers.Dense(1, name="price")(hidden), name="two")
    write_records(tmp_path / "in" / "Split-train" / "data.gz", records)
    write_records(tmp_path / "in" / "Split-eval" / "data.gz", EVALUATION)
    inputs = {
        "examples": [examples_artifact(tmp_path / "in")],
        "model": [model_artifact(tmp_path / "model", model)],
        "schema": [schema_artifact(tmp_path / "schema", SCHEMA)],
    }
    properties = {"config": SamplingConfig(**options).to_json(), "data": ExamplesConfig(label_key="price").to_json()}
    CalibrationSamplerExecutor().Do(inputs, {"calibration": [output(CalibrationDataset, tmp_path / "out")]}, properties)
    return (tmp_path / "out" / file_names.CALIBRATION_MANIFEST).read_text()


@pytest.mark.parametrize("arguments", [["--runner", "DirectRunner"], ["--runner", "direct", "--direct_num_workers=1"]])
def test_the_direct_runner_in_two_words_is_the_embedded_one(arguments):
    pinned = pinned_arguments(arguments)
    assert PipelineOptions(pinned).view_as(StandardOptions).runner == "FnApiRunner"


def test_a_misspelt_runner_option_is_refused_and_not_dropped():
    with pytest.raises(ConfigError, match="--runners=PrismRunner") as refused:
        pinned_arguments(["--runners=PrismRunner"])
    assert "Did you mean '--runner'?" in refused.value.remedy


@pytest.mark.parametrize("argument", ["--runner", "--streaming=yes"])
def test_a_bad_value_of_the_standard_options_is_refused_and_does_not_end_the_process(argument, capsys):
    with pytest.raises(ConfigError):
        pinned_arguments([argument])
    assert capsys.readouterr() == ("", "")


def test_a_users_own_option_with_a_value_provider_is_taken():
    class OwnOptions(PipelineOptions):
        @classmethod
        def _add_argparse_args(cls, parser):
            parser.add_value_provider_argument("--helper_own_option")

    try:
        assert "--helper_own_option=3" in pinned_arguments(["--helper_own_option=3"])
    finally:
        OwnOptions._add_argparse_args = classmethod(lambda cls, parser: None)  # type: ignore[method-assign,assignment]


def test_the_last_record_of_a_large_sample_is_looked_at_too(tmp_path):
    records = sorted(
        (tf_example(age=number, size=0.5 * number) for number in range(299)), key=lambda r: record_rank(r, 0)
    )
    number = 299
    while record_rank(bad := tf_example(age=number, size=math.nan), 0) < record_rank(records[-1], 0):
        number += 1
    with pytest.raises(ExamplesError, match="NaN or infinity in 'size' of 1 record"):
        with_model(tmp_path, [*records, bad], num_records=300)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_that_is_let_pass_leaves_a_manifest_in_plain_json(tmp_path, value):
    records = [tf_example(age=number, size=0.1 * number) for number in range(30)] + [tf_example(age=99, size=value)]
    text = with_model(tmp_path, records, num_records=31, on_non_finite="warn")

    def refuse(constant):
        raise AssertionError(constant)

    manifest = json.loads(text, parse_constant=refuse)
    assert not any("nan%" in warning for warning in manifest["warnings"])


def test_a_stability_without_ranges_has_no_warning():
    assert Stability(2, {}, {}).warning == ""


def test_a_number_that_is_nan_in_all_records_is_not_told_to_be_a_string():
    (text,) = constant(describe_features([tf_example(age=math.nan), tf_example(age=math.nan)]))
    assert "a string" not in text


def test_a_feature_that_is_a_number_in_one_record_and_a_string_in_another_is_an_error_that_says_so():
    with pytest.raises(ExamplesError, match="'age'"):
        describe_features([tf_example(age=3), tf_example(age="three")])


@pytest.mark.parametrize("seed", range(8))
def test_there_are_not_more_distinct_records_than_records(tmp_path, seed):
    config = SamplingConfig(num_records=10, seed=seed)
    file = str(write_records(tmp_path / "data", [str(number).encode() for number in range(10)]))
    part = MergeParts(config).merge_accumulators([sample_file(each, config) for each in source_files([file])])
    write_sample(part, str(tmp_path / "out"), config)
    manifest = json.loads(Path(tmp_path / "out" / file_names.CALIBRATION_MANIFEST).read_text())
    assert manifest["num_distinct_estimate"] <= manifest["num_scanned"]


def test_an_evaluation_split_that_is_misspelt_is_told_with_the_nearest(tmp_path):
    write_records(tmp_path / "Split-train" / "data.gz", EVALUATION)
    write_records(tmp_path / "Split-eval" / "data.gz", EVALUATION)
    properties = {"config": SamplingConfig(num_records=1, evaluation_split="evla").to_json(), "data": ""}
    with pytest.raises(ExamplesError, match="Did you mean 'eval'"):
        CalibrationSamplerExecutor().Do(
            {"examples": [examples_artifact(tmp_path)]},
            {"calibration": [output(CalibrationDataset, tmp_path / "out")]},
            properties,
        )
