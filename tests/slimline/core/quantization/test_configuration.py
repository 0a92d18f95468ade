from typing import Any

import pytest

from slimline.core.optimization.qat_config import QatConfig
from slimline.core.quantization.advisor import Wishes
from slimline.core.quantization.configuration import QuantizationConfig, resolve_scheme
from slimline.core.quantization.selective_config import SelectiveConfig
from slimline.core.schemes import END_TYPES, SCHEMES
from slimline.errors import ConfigError

SELECTIVE = SelectiveConfig(min_agreement=0.9)
CPU = Wishes(target="cpu")


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"scheme": "auto"}, "scheme='auto' with wishes"),
        ({"scheme": "int8", "wishes": CPU}, "another scheme without wishes"),
        ({"scheme": "auto", "wishes": CPU, "training": "qat"}, "no training with scheme='auto'"),
        ({"scheme": "auto", "wishes": {"target": "tpu"}}, "'cpu', 'gpu', 'edgetpu', 'hexagon', 'micro' or 'ethos_u'"),
        ({"scheme": "int16x8", "training": "qat"}, "TFMOT trains for int8 alone"),
        ({"scheme": "int8", "qat": QatConfig()}, "without effect otherwise"),
        ({"scheme": "auto", "wishes": CPU, "selective": SELECTIVE}, "selective with scheme='int8'"),
        ({"scheme": "float16", "selective": SELECTIVE}, "selective with scheme='int8'"),
        ({"scheme": "int8", "training": "qat", "selective": SELECTIVE}, "QAT has rules of its own"),
        ({"scheme": "float16", "input_type": "int8"}, "input_type of float32 for the scheme 'float16'"),
        ({"scheme": "int16x8", "output_type": "int8"}, "output_type of float32 for the scheme 'int16x8'"),
        ({"scheme": "int8", "input_type": "int16"}, "'float32', 'int8' or 'uint8'"),
        (
            {"scheme": "int8", "selective": SelectiveConfig(min_agreement=0.9, keep="int16")},
            "the converter can't mix them",
        ),
        ({"scheme": "int8", "backend": "litert-quantizer", "training": "qat"}, "training='qat' with backend='conv"),
        ({"scheme": "int8", "backend": "litert-quantizer", "input_type": "uint8"}, "uint8 with backend='converter'"),
        ({"scheme": "int8", "backend": "litert-quantizer", "output_type": "uint8"}, "uint8 with backend='converter'"),
        ({"scheme": "float16", "backend": "litert-quantizer", "allow_select_ops": True}, "does not know such"),
        ({"scheme": "int8", "backend": "litert-quantiser"}, "Did you mean 'litert-quantizer'"),
        ({"scheme": "int8", "time_limit_s": 0}, "greater than 0"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options, hint):
    with pytest.raises(ConfigError) as refused:
        QuantizationConfig(**options)
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "how good is good enough"),
        ({"min_agreement": 0}, "greater than 0"),
        ({"min_agreement": 1.1}, "less than or equal to 1"),
        ({"min_sqnr_db": 20, "max_conversions": 1}, "greater than or equal to 2"),
        ({"min_sqnr_db": 20, "keep": "float16"}, "'float32' or 'int16'"),
    ],
)
def test_selective_needs_a_goal_that_can_be_met(options: dict[str, Any], hint):
    with pytest.raises(ConfigError) as refused:
        SelectiveConfig(**options)
    assert hint in str(refused.value)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ends_are_the_first_possible_ones_unless_given(scheme):
    config = QuantizationConfig(scheme=scheme)
    assert config.input_dtype == config.output_dtype == ("int8" if scheme == "int8" else "float32")
    for dtype in END_TYPES[scheme]:
        assert QuantizationConfig(scheme=scheme, input_type=dtype).input_dtype == dtype
        assert QuantizationConfig(scheme=scheme, output_type=dtype).output_dtype == dtype


@pytest.mark.parametrize(
    "config",
    [
        QuantizationConfig(scheme="int8", backend="litert-quantizer", selective=SELECTIVE, label_names=("a", "b")),
        QuantizationConfig(scheme="auto", wishes=Wishes(target="micro", priority="latency"), qat=QatConfig(epochs=2)),
    ],
)
def test_json_gives_the_same_configuration_back(config):
    assert QuantizationConfig.from_json(config.to_json()) == config
    assert QuantizationConfig.from_json(config.to_json()).to_json() == config.to_json()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_that_is_given_is_kept(scheme):
    config = QuantizationConfig(scheme=scheme)
    assert resolve_scheme(config, has_calibration=False, has_examples=True) == (config, None)


@pytest.mark.parametrize(
    ("priority", "has_examples", "training"),
    [("accuracy", True, "qat"), ("accuracy", False, None), ("size", True, None)],
)
def test_auto_becomes_what_the_advisor_says_and_keeps_the_other_options(priority, has_examples, training):
    qat = QatConfig(epochs=7)
    config = QuantizationConfig(
        scheme="auto",
        wishes=Wishes(target="edgetpu", priority=priority),
        qat=qat,
        label_names=("cat", "dog"),
        input_type="uint8",
        time_limit_s=5,
    )
    decided, advice = resolve_scheme(config, has_calibration=True, has_examples=has_examples)
    assert advice is not None
    assert decided == QuantizationConfig(
        scheme="int8",
        training=training,
        qat=qat if training else None,
        static_batch=True,
        label_names=("cat", "dog"),
        input_type="uint8",
        time_limit_s=5,
    )
    assert (advice.scheme, advice.training) == ("int8", training)
    assert resolve_scheme(decided, has_calibration=True, has_examples=has_examples) == (decided, None)


def test_auto_keeps_a_fixed_batch_that_was_asked_for():
    config = QuantizationConfig(scheme="auto", wishes=CPU, static_batch=True)
    decided, _ = resolve_scheme(config, has_calibration=False, has_examples=False)
    assert (decided.scheme, decided.static_batch, decided.wishes) == ("dynamic_range", True, None)


def test_auto_is_refused_where_nothing_fits():
    config = QuantizationConfig(scheme="auto", wishes=Wishes(target="edgetpu"))
    with pytest.raises(ConfigError, match="target='edgetpu' without any records"):
        resolve_scheme(config, has_calibration=False, has_examples=False)


def test_ends_that_the_advised_scheme_does_not_have_are_refused():
    config = QuantizationConfig(scheme="auto", wishes=CPU, input_type="int8")
    with pytest.raises(ConfigError, match="input_type of float32 for the scheme 'dynamic_range'"):
        resolve_scheme(config, has_calibration=True, has_examples=False)
