import json
from itertools import product
from typing import get_args

import pytest

from slimline.core.quantization.advisor import Wishes, advise
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.schemes import SCHEMES
from slimline.errors import ConfigError

TARGETS = get_args(Wishes.model_fields["target"].annotation)
PRIORITIES = get_args(Wishes.model_fields["priority"].annotation)
INTEGER_ONLY = ("edgetpu", "hexagon", "micro", "ethos_u")
DATA = ("none", "unlabelled", "labelled")
ALL = list(product(TARGETS, PRIORITIES, DATA))


def test_the_targets_and_priorities_are_those_that_are_tested():
    assert set(TARGETS) == {"cpu", "gpu", *INTEGER_ONLY}
    assert set(PRIORITIES) == {"accuracy", "size", "latency"}


@pytest.mark.parametrize(("target", "priority", "data"), [case for case in ALL if case[0] in INTEGER_ONLY])
def test_integer_hardware_gets_int8_with_a_batch_of_one_or_a_refusal(target, priority, data):
    wishes = Wishes(target=target, priority=priority)
    if data == "none":
        with pytest.raises(ConfigError, match=f"target='{target}' without any records") as refused:
            advise(wishes, data)
        assert "CalibrationSampler" in refused.value.remedy
        return
    advice = advise(wishes, data)
    assert (advice.scheme, advice.static_batch) == ("int8", True)
    assert advice.training == ("qat" if (priority, data) == ("accuracy", "labelled") else None)


@pytest.mark.parametrize(("target", "priority", "data"), [case for case in ALL if case[0] not in INTEGER_ONLY])
def test_other_hardware_always_gets_something_with_an_open_batch(target, priority, data):
    advice = advise(Wishes(target=target, priority=priority), data)
    assert not advice.static_batch
    if data == "none":
        assert advice.scheme in ("float16", "dynamic_range")


@pytest.mark.parametrize(
    ("target", "priority", "data", "scheme"),
    [
        ("cpu", "accuracy", "none", "float16"),
        ("cpu", "accuracy", "labelled", "float16"),
        ("cpu", "size", "none", "dynamic_range"),
        ("cpu", "size", "unlabelled", "dynamic_range"),
        ("cpu", "latency", "none", "dynamic_range"),
        ("cpu", "latency", "unlabelled", "int8"),
        ("gpu", "latency", "unlabelled", "float16"),
        ("gpu", "accuracy", "labelled", "float16"),
        ("gpu", "size", "none", "float16"),
        ("gpu", "size", "unlabelled", "int8"),
    ],
)
def test_cpu_and_gpu_get_what_the_guide_of_litert_says(target, priority, data, scheme):
    advice = advise(Wishes(target=target, priority=priority), data)
    assert (advice.scheme, advice.training) == (scheme, None)


@pytest.mark.parametrize(("target", "priority", "data"), ALL)
def test_advice_is_explained_in_sentences_and_can_be_configured(target, priority, data):
    if target in INTEGER_ONLY and data == "none":
        return
    advice = advise(Wishes(target=target, priority=priority), data)
    assert advice.reasons
    assert advice.next_steps
    for sentence in (*advice.reasons, *advice.next_steps):
        assert sentence[0].isupper() or sentence.startswith((*SCHEMES, "selective=", "training="))
        assert sentence.endswith(".")
        assert not sentence.endswith("..")
    QuantizationConfig(scheme=advice.scheme, training=advice.training, static_batch=advice.static_batch)
    assert json.loads(json.dumps(advice.to_dict()))["reasons"] == list(advice.reasons)


def test_size_is_what_matters_most_unless_told():
    assert advise(Wishes(target="gpu"), "unlabelled").scheme == "int8"
