import hashlib
import json
import math
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import tf_keras
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor

from slimline import CalibrationDataset, ExamplesConfig, SamplingConfig
from slimline.calibration_sampler.executor import CalibrationSamplerExecutor
from slimline.core.examples.tfrecord import read_records
from slimline.core.sampling.rank import bottom_k, record_digest
from slimline.errors import ConfigError, ExamplesError
from slimline.names import file_names, metadata_keys
from slimline.shells import progress
from slimline.transforms import sampling
from tests.artifacts import examples_artifact, model_artifact, output, schema_artifact
from tests.conftest import example, write_records
from tests.records import tf_example

WRITTEN = {file_names.CALIBRATION_RECORDS, file_names.CALIBRATION_MANIFEST, "steps.jsonl"}
SMALL: dict[str, Any] = {"num_records": 4}
# Four good records for each check to spoil.
GOOD = [tf_example(age=number, size=0.5 * number) for number in range(4)]
EVALUATION = [tf_example(age=number, size=9.5) for number in range(100, 104)]
MODEL_SCHEMA = """
feature { name: "age" type: INT shape { dim { size: 1 } } }
feature { name: "size" type: FLOAT shape { dim { size: 1 } } }
"""


def sample(examples, folder, context=None, inputs=None, data="", **options):
    calibration = output(CalibrationDataset, folder)
    properties = {"config": SamplingConfig(**options).to_json(), "data": data}
    executor = CalibrationSamplerExecutor(context)
    executor.Do({"examples": [examples], **(inputs or {})}, {"calibration": [calibration]}, properties)
    return calibration, json.loads((folder / file_names.CALIBRATION_MANIFEST).read_text())


def read_all(files):
    records = []
    for file in files:
        with Path(file).open("rb") as stream:
            records += list(read_records(stream, str(file)))
    return records


def artifact_of(folder, *shards, evaluation=EVALUATION):
    """Returns Examples of the given records in their train split."""
    for number, records in enumerate(shards):
        write_records(folder / "Split-train" / f"data-{number:03}.gz", records)
    write_records(folder / "Split-eval" / "data.gz", evaluation)
    return examples_artifact(folder)


def left_in(folder):
    return {path.name for path in folder.rglob("*")}


@pytest.fixture
def margins(monkeypatch):
    """The margins of the runs that an executor needs."""
    seen = []
    original = sampling.SampleFiles.__init__

    def watched(self, config, margin=1.0):
        seen.append(margin)
        original(self, config, margin)

    monkeypatch.setattr(sampling.SampleFiles, "__init__", watched)
    return seen


def test_the_sample_is_the_bottom_k_and_the_manifest_lists_it(examples_folder, tmp_path):
    calibration, manifest = sample(
        examples_artifact(examples_folder), tmp_path / "out", num_records=50, seed=7, on_constant="warn"
    )
    expected = [record for _, record in bottom_k(read_all(sorted(examples_folder.glob("Split-train/*"))), 50, 7)]
    assert read_all([tmp_path / "out" / file_names.CALIBRATION_RECORDS]) == expected
    assert [record["digest"] for record in manifest["records"]] == [record_digest(record) for record in expected]
    assert (manifest["num_scanned"], manifest["seed"], manifest["split"]) == (400, 7, "train")
    assert (manifest["num_requested"], manifest["num_records"]) == (50, 50)
    assert manifest["num_distinct_estimate"] == pytest.approx(400, rel=0.5)
    assert set(manifest["features"]) == {"image", "digit"}
    assert (manifest["features"]["image"]["minimum"], manifest["features"]["image"]["maximum"]) == (0, 1)
    assert (manifest["inputs"], manifest["strata"], manifest["stability"], manifest["warnings"]) == ({}, None, None, [])
    assert not {"errors", "is_exact"} & set(manifest)
    assert left_in(tmp_path / "out") == WRITTEN
    assert calibration.get_int_custom_property(metadata_keys.NUM_RECORDS) == 50


def test_digests_in_the_manifest_are_those_that_sha256sum_prints(examples_folder, tmp_path):
    calibration, manifest = sample(examples_artifact(examples_folder), tmp_path / "out", num_records=50)
    files = sorted(examples_folder.glob("Split-train/*"))
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    listing = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    assert manifest["source_digest"] == "sha256:" + hashlib.sha256(listing.encode()).hexdigest()
    assert manifest["files"] == [
        {"path": str(file), "digest": f"sha256:{digests[file.name]}", "num_records": 200} for file in files
    ]
    content = (tmp_path / "out" / file_names.CALIBRATION_RECORDS).read_bytes()
    assert manifest["records_digest"] == "sha256:" + hashlib.sha256(content).hexdigest()
    assert calibration.get_string_custom_property(metadata_keys.SOURCE_DIGEST) == manifest["source_digest"]
    assert calibration.get_string_custom_property(metadata_keys.CONTENT_DIGEST) == manifest["records_digest"]


def test_properties_say_what_the_manifest_does(tmp_path):
    calibration, manifest = sample(
        artifact_of(tmp_path / "in", GOOD[:1], GOOD[1:]), tmp_path / "out", num_records=4, seed=2**40
    )
    assert calibration.get_int_custom_property(metadata_keys.NUM_SCANNED) == manifest["num_scanned"] == 4
    assert calibration.get_int_custom_property(metadata_keys.NUM_DISTINCT) == manifest["num_distinct_estimate"]
    assert calibration.get_string_custom_property(metadata_keys.SEED) == str(2**40)
    assert calibration.get_string_custom_property(metadata_keys.WARNINGS) == ""


def test_records_without_a_feature_are_counted(tmp_path):
    records = [tf_example(age=1), tf_example(age=2, rare=3), tf_example(age=[]), tf_example(age=4)]
    _, manifest = sample(artifact_of(tmp_path / "in", records), tmp_path / "out", num_records=4)
    missing = {name: feature["num_missing"] for name, feature in manifest["features"].items()}
    assert missing == {"age": 1, "rare": 3}


SPOILT: dict[str, tuple[list[bytes], dict[str, Any], str]] = {
    "overlap": (GOOD[:3] + EVALUATION[:1], {}, "1 sampled record(s) are in split 'eval' as well"),
    "non_finite": ([*GOOD[:3], tf_example(age=9, size=math.nan)], {}, "NaN or infinity in 'size' of 1 record(s)"),
    "constant": (
        [tf_example(age=number, size=0.5) for number in range(4)],
        {},
        "'size' is the same in all records: 0.5",
    ),
    "shortage": (
        [*GOOD, GOOD[0]],
        {"num_records": 5},
        "4 distinct record(s) among the 5 of split 'train', where 5 are asked for",
    ),
    "shortage of a stratum": (
        [tf_example(age=number, label="rare" if number == 2 else "usual") for number in range(4)],
        {"strata": {"feature": "label", "min_records": 2}},
        "1 distinct record(s) with label = rare, where 2 are asked for",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_a_bad_sample_has_is_an_error_and_leaves_nothing(tmp_path, case):
    records, options, text = SPOILT[case]
    (tmp_path / "out").mkdir()
    with pytest.raises(ExamplesError) as refused:
        sample(artifact_of(tmp_path / "in", records), tmp_path / "out", **{**SMALL, **options})
    assert refused.value.found == text
    assert f"let it pass with on_{case.partition(' ')[0]}='warn'" in refused.value.remedy
    assert left_in(tmp_path / "out") == set()


@pytest.mark.parametrize("case", SPOILT)
def test_what_is_let_pass_is_a_warning_in_manifest_property_and_output(tmp_path, case, monkeypatch):
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(progress, "_listeners", [lambda *line: told.append(line)])
    records, options, text = SPOILT[case]
    passed = {**SMALL, **options, f"on_{case.partition(' ')[0]}": "warn"}
    calibration, manifest = sample(artifact_of(tmp_path / "in", records), tmp_path / "out", **passed)
    assert manifest["warnings"] == [text]
    assert calibration.get_string_custom_property(metadata_keys.WARNINGS) == text
    assert told == [("", f"warning: {text}")]
    assert left_in(tmp_path / "out") == WRITTEN
    assert len(manifest["records"]) == 4


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    records = [tf_example(size=math.inf, number=1), EVALUATION[0]]
    with pytest.raises(ExamplesError) as refused:
        sample(artifact_of(tmp_path / "in", records), tmp_path / "out", num_records=3, on_shortage="warn")
    assert refused.value.found.count(";") == 1
    assert "on_non_finite='warn', on_overlap='warn'" in refused.value.remedy
    assert "on_shortage" not in refused.value.remedy


def test_without_an_evaluation_split_nothing_is_compared(tmp_path):
    write_records(tmp_path / "in" / "Split-train" / "data.gz", GOOD)
    examples = examples_artifact(tmp_path / "in", ("train",))
    with pytest.raises(ExamplesError, match=r"no split 'eval' in .*, which evaluation_split names") as refused:
        sample(examples, tmp_path / "out", **SMALL)
    assert "or None when there is none" in refused.value.remedy
    _, manifest = sample(examples, tmp_path / "out", evaluation_split=None, **SMALL)
    assert manifest["warnings"] == []


def test_the_split_to_sample_from_is_named_when_it_is_missing(tmp_path):
    with pytest.raises(ExamplesError, match="no split 'trian'") as refused:
        sample(artifact_of(tmp_path / "in", GOOD), tmp_path / "out", split="trian", **SMALL)
    assert "Did you mean 'train'?" in refused.value.remedy


@pytest.mark.parametrize("split", ["train", "eval"])
def test_a_broken_record_is_named_with_its_file(tmp_path, split):
    examples = artifact_of(tmp_path / "in", GOOD)
    file = write_records(tmp_path / "in" / f"Split-{split}" / "more", EVALUATION, compressed=False)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ExamplesError, match=f"record 3 of {file} is broken"):
        sample(examples, tmp_path / "out", **SMALL)
    assert left_in(tmp_path / "out") == set()


def test_a_missing_label_is_named_with_record_and_file(tmp_path):
    with pytest.raises(ExamplesError, match=r"'agee', which is wanted for strata \(record 0 of .*data-000\.gz\)") as no:
        sample(artifact_of(tmp_path / "in", GOOD), tmp_path / "out", strata={"feature": "agee"}, **SMALL)
    assert "Did you mean 'age'?" in no.value.remedy
    assert left_in(tmp_path / "out") == set()


def test_an_empty_split_is_refused_before_any_work(tmp_path):
    for split in ("train", "eval"):
        write_records(tmp_path / "examples" / f"Split-{split}" / "data.gz", [b"record"] if split == "train" else [])
    with pytest.raises(ExamplesError, match="no record in split 'eval'"):
        sample(examples_artifact(tmp_path / "examples"), tmp_path / "out", num_records=1)
    assert not (tmp_path / "out").exists()


def test_strata_and_extremes_are_in_the_sample_and_counted(examples_folder, tmp_path):
    _, manifest = sample(
        examples_artifact(examples_folder),
        tmp_path / "out",
        num_records=60,
        strata={"feature": "digit", "min_records": 5},
        extremes=("digit",),
    )
    counts = manifest["num_records_by_stratum"]
    assert sorted(counts) == [str(digit) for digit in range(10)]
    assert sum(counts.values()) == 60
    assert min(counts.values()) >= 5
    reserved = [reason for record in manifest["records"] for reason in record.get("reserved", ())]
    assert {"smallest digit", "largest digit"} <= set(reserved)
    assert manifest["strata"]["num_reserved"] == dict.fromkeys(counts, 5)


def test_distinct_records_are_sampled_in_one_run(examples_folder, tmp_path, margins):
    sample(examples_artifact(examples_folder), tmp_path / "out", num_records=20)
    assert margins == [1.0]


@pytest.mark.parametrize(("num_files", "expected"), [(20, [1.0, 64.0]), (300, [1.0, 64.0, math.inf])])
def test_records_repeated_in_every_file_are_sampled_exactly_in_further_runs(tmp_path, margins, num_files, expected):
    records = [tf_example(age=number) for number in range(40)]
    examples = artifact_of(tmp_path / "in", *[records] * num_files)
    _, manifest = sample(examples, tmp_path / "out", num_records=10)
    assert margins == expected
    assert manifest["num_scanned"] == 40 * num_files
    drawn = [record for _, record in bottom_k(records, 10, 0)]
    assert [record["digest"] for record in manifest["records"]] == [record_digest(record) for record in drawn]
    assert manifest["num_distinct_estimate"] < 200


@pytest.fixture(scope="module")
def model_of_two(tmp_path_factory):
    """Artifacts of a model of `age` and `size`, and of a schema that has both."""
    folder = tmp_path_factory.mktemp("model")
    layers = tf_keras.layers
    given = [layers.Input((1,), name="age"), layers.Input((1,), name="size")]
    tf_keras.utils.set_random_seed(0)
    hidden = layers.Dense(4, activation="relu", name="hidden")(layers.Concatenate(name="both")(given))
    model = tf_keras.Model(given, layers.Dense(1, name="price")(hidden), name="two")
    return {
        "model": [model_artifact(folder / "model", model)],
        "schema": [schema_artifact(folder / "schema", MODEL_SCHEMA)],
    }


OWN_LABEL = ExamplesConfig(label_key="price").to_json()


def test_the_inputs_of_a_model_are_described_and_the_ranges_compared(trained, examples_folder, tmp_path):
    inputs = {
        "model": [model_artifact(tmp_path / "model", trained)],
        "schema": [schema_artifact(tmp_path / "schema")],
    }
    _, manifest = sample(
        examples_artifact(examples_folder),
        tmp_path / "out",
        inputs=inputs,
        data=ExamplesConfig(label_key="digit").to_json(),
        num_records=200,
    )
    assert manifest["inputs"] == {
        "image": {
            "dtype": "float32",
            "num_missing": 0,
            "num_values": [64, 64],
            "minimum": 0.0,
            "maximum": 1.0,
            "num_non_finite": 0,
            "is_constant": False,
        }
    }
    assert set(manifest["features"]) == {"image", "digit"}
    assert manifest["stability"]["num_records"] == 200
    assert set(manifest["stability"]["outputs"]) == {"scores"}
    assert 0 < max(manifest["stability"]["worst"].values()) < 0.5


def test_an_unsettled_range_is_a_warning_always(model_of_two, tmp_path):
    records = [tf_example(age=number % 5, size=1000.0 if number == 7 else number / 40) for number in range(40)]
    calibration, manifest = sample(
        artifact_of(tmp_path / "in", records), tmp_path / "out", inputs=model_of_two, data=OWN_LABEL, num_records=40
    )
    (warning,) = manifest["warnings"]
    assert warning.startswith("two halves of the 40 calibration records differ by ")
    assert calibration.get_string_custom_property(metadata_keys.WARNINGS) == warning


def test_with_a_model_a_feature_that_is_no_input_may_be_constant(model_of_two, tmp_path):
    records = [tf_example(age=number, size=0.1 * number, country="x") for number in range(30)]
    examples = artifact_of(tmp_path / "in", records)
    options = {"num_records": 30, "inputs": model_of_two, "data": OWN_LABEL}
    assert sample(examples, tmp_path / "out", **options)[1]["features"]["country"]["is_constant"]
    with pytest.raises(ExamplesError, match="'country' is the same in all records"):
        sample(examples, tmp_path / "other", num_records=30)


def test_with_a_model_an_input_that_is_constant_is_an_error(model_of_two, tmp_path):
    records = [tf_example(age=3, size=0.1 * number) for number in range(30)]
    with pytest.raises(ExamplesError, match="'age' is the same in all records"):
        sample(
            artifact_of(tmp_path / "in", records), tmp_path / "out", inputs=model_of_two, data=OWN_LABEL, num_records=30
        )
    assert left_in(tmp_path / "out") == set()


def test_an_input_without_a_feature_is_refused_with_the_nearest(model_of_two, tmp_path):
    schema = schema_artifact(tmp_path / "schema", MODEL_SCHEMA.replace('"size"', '"sizes"'))
    with pytest.raises(ExamplesError, match="no feature 'size', which is wanted for the model input 'size'") as refused:
        sample(
            artifact_of(tmp_path / "in", GOOD),
            tmp_path / "out",
            inputs={**model_of_two, "schema": [schema]},
            data=OWN_LABEL,
            **SMALL,
        )
    assert "Did you mean 'sizes'?" in refused.value.remedy
    assert left_in(tmp_path / "out") == set()


def test_a_record_without_a_feature_of_the_model_is_refused(model_of_two, tmp_path):
    with pytest.raises(ExamplesError, match=r"can't be parsed: .*size"):
        sample(
            artifact_of(tmp_path / "in", [*GOOD[:3], tf_example(age=9)]),
            tmp_path / "out",
            inputs=model_of_two,
            data=OWN_LABEL,
            **SMALL,
        )


def test_an_option_that_beam_does_not_know_is_refused_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.setattr("tfx.utils.dependency_utils.build_ephemeral_package", lambda: "tfx.tar.gz")
    context = BaseBeamExecutor.Context(beam_pipeline_args=["--direct_num_worker=2"])
    with pytest.raises(ConfigError, match="the Beam option '--direct_num_worker=2'") as refused:
        sample(artifact_of(tmp_path / "in", GOOD), tmp_path / "out", context, **SMALL)
    assert "Did you mean '--direct_num_workers'?" in refused.value.remedy
    assert left_in(tmp_path / "out") == set()


def test_what_tfx_adds_to_the_arguments_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("tfx.utils.dependency_utils.build_ephemeral_package", lambda: "tfx.tar.gz")
    context = BaseBeamExecutor.Context(beam_pipeline_args=["--runner=DirectRunner", "--direct_num_workers=1"])
    _, manifest = sample(artifact_of(tmp_path / "in", GOOD), tmp_path / "out", context, **SMALL)
    assert manifest["num_records"] == 4


def test_a_pipeline_that_the_caller_makes_is_used(tmp_path):
    made = []

    def make():
        made.append(beam.Pipeline(runner="FnApiRunner"))
        return made[-1]

    context = BaseBeamExecutor.Context(make_beam_pipeline_fn=make)
    sample(artifact_of(tmp_path / "in", GOOD), tmp_path / "out", context, **SMALL)
    assert len(made) == 2


def test_what_an_earlier_attempt_left_is_replaced(tmp_path):
    stale = tmp_path / "out" / "partial"
    stale.mkdir(parents=True)
    (stale / file_names.CALIBRATION_RECORDS).write_bytes(b"stale")
    sample(artifact_of(tmp_path / "in", GOOD), tmp_path / "out", **SMALL)
    assert left_in(tmp_path / "out") == WRITTEN
    assert len(read_all([tmp_path / "out" / file_names.CALIBRATION_RECORDS])) == 4


def test_the_order_and_number_of_files_do_not_change_a_byte_of_the_records(digits, tmp_path):
    records = [example(image, int(label)) for image, label in zip(digits[0][:60], digits[1][:60], strict=True)]
    contents = set()
    splits = [[records], [records[30:], records[:30]], [records[number::7] for number in range(7)]]
    for number, shards in enumerate(splits):
        folder = tmp_path / str(number)
        sample(artifact_of(folder / "in", *shards), folder / "out", num_records=20)
        contents.add((folder / "out" / file_names.CALIBRATION_RECORDS).read_bytes())
    assert len(contents) == 1
