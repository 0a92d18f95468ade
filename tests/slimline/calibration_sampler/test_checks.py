import hashlib
import json

import pytest

from slimline import SamplingConfig
from slimline.calibration_sampler.checks import Description, Problem, check_sample, describe_sample, raise_errors
from slimline.core.quantization.stability import Stability
from slimline.core.sampling.rank import Strata
from slimline.core.sampling.statistics import FeatureStatistics, describe_features
from slimline.errors import ExamplesError
from slimline.names import file_names
from tests.conftest import write_records
from tests.records import tf_example

CONFIG = SamplingConfig(num_records=2)
STRATA = SamplingConfig(num_records=4, strata=Strata(feature="label", min_records=2))
DRAWN = {"num_records": 2, "num_scanned": 9, "strata": None}
FINE = FeatureStatistics("float", 0, (1, 1), 0.0, 1.0, 0, False)
NOT_FINITE = FeatureStatistics("float", 0, (1, 1), 0.0, 1.0, 1, False)
CONSTANT = FeatureStatistics("float", 0, (1, 1), 1.0, 1.0, 0, True)
ALL_PROBLEMS = [Problem(check, check) for check in ("overlap", "non_finite", "constant", "shortage", "stability")]


def description(features=None, inputs=None, stability=None):
    return Description("sha256:0", features or {"age": FINE}, inputs or {}, stability=stability)


def problems(config=CONFIG, found=(), drawn=DRAWN, **parts):
    return check_sample(drawn, description(**parts), found, config)


def test_a_good_sample_has_no_problems():
    assert problems() == []


def test_records_of_the_evaluation_split_are_counted():
    config = SamplingConfig(num_records=2, evaluation_split="test")
    (problem,) = problems(config, found=["0a", "0b"])
    assert problem == Problem("overlap", "2 sampled record(s) are in split 'test' as well")


def test_features_are_looked_at_without_a_model():
    found = problems(features={"age": NOT_FINITE, "size": CONSTANT})
    assert [problem.check for problem in found] == ["non_finite", "constant"]


def test_with_a_model_its_inputs_are_looked_at_alone():
    assert problems(features={"age": NOT_FINITE}, inputs={"x": FINE}) == []
    (problem,) = problems(inputs={"x": CONSTANT})
    assert problem == Problem("constant", "'x' is the same in all records: 1.0")


def test_a_shortage_says_how_many_there_are():
    (problem,) = problems(drawn={"num_records": 1, "num_scanned": 9, "strata": None})
    assert problem.check == "shortage"
    assert problem.text == "1 distinct record(s) among the 9 of split 'train', where 2 are asked for"


def test_a_shortage_names_every_stratum_that_lacks_records():
    drawn = {"num_records": 4, "num_scanned": 9, "strata": {"num_reserved": {"cat": 1, "cow": 2, "dog": 1}}}
    assert [problem.text for problem in problems(STRATA, drawn=drawn)] == [
        f"1 distinct record(s) with label = {name}, where 2 are asked for" for name in ("cat", "dog")
    ]


@pytest.mark.parametrize(("share", "checks"), [(0.1, []), (0.6, ["stability"])])
def test_an_unsettled_range_is_a_problem(share, checks):
    found = problems(stability=Stability(2, {"scores": share}, {"hidden": 0.0}))
    assert [problem.check for problem in found] == checks


@pytest.mark.parametrize("check", ["overlap", "non_finite", "constant", "shortage"])
def test_each_check_is_an_error_unless_it_may_warn(check):
    with pytest.raises(ExamplesError, match="what is wrong") as refused:
        raise_errors([Problem(check, "what is wrong")], CONFIG)
    assert f"let it pass with on_{check}='warn'" in refused.value.remedy
    raise_errors([Problem(check, "what is wrong")], SamplingConfig(**{f"on_{check}": "warn"}))


def test_an_unsettled_range_never_is_an_error():
    raise_errors([Problem("stability", "unsettled")], CONFIG)


def test_all_errors_are_said_and_each_option_once():
    with pytest.raises(ExamplesError) as refused:
        raise_errors([*ALL_PROBLEMS, Problem("constant", "another")], SamplingConfig(on_overlap="warn"))
    assert refused.value.found == "non_finite; constant; shortage; another"
    assert refused.value.remedy.endswith("on_constant='warn', on_non_finite='warn', on_shortage='warn'")


def test_no_problems_raise_nothing():
    raise_errors([], CONFIG)


def test_a_sample_is_described_from_its_file(tmp_path):
    records = [tf_example(label="cat", age=1), tf_example(label="dog", age=2), tf_example(label="cat", age=3)]
    path = write_records(tmp_path / file_names.CALIBRATION_RECORDS, records)
    described = describe_sample({}, "", str(tmp_path), STRATA)
    digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert described == Description(digest, describe_features(records), strata={"cat": 2, "dog": 1})
    assert described.to_dict() == {
        "records_digest": digest,
        "features": {name: feature.to_dict() for name, feature in described.features.items()},
        "inputs": {},
        "num_records_by_stratum": {"cat": 2, "dog": 1},
        "stability": None,
    }
    json.dumps(described.to_dict(), allow_nan=False)


def test_strata_are_not_counted_where_there_are_none(tmp_path):
    write_records(tmp_path / file_names.CALIBRATION_RECORDS, [tf_example(label="cat")])
    assert describe_sample({}, "", str(tmp_path), CONFIG).strata == {}
