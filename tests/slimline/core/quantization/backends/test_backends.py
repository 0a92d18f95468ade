import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize, start_conversion
from slimline.core.quantization.selective_config import SelectiveConfig
from slimline.core.schemes import CALIBRATED_SCHEMES, SCHEMES
from slimline.core.tflite.flatbuffer import float_operations, has_select_ops, operations
from slimline.core.tflite.runtime import TFLiteModel
from slimline.errors import ConfigError, ModelError

LAYERS = tf_keras.layers
BACKENDS = ("converter", "litert-quantizer")
ENDS = {"converter": ("int8", "uint8", "float32"), "litert-quantizer": ("int8", "float32")}
NOT_COUNTED = ("QUANTIZE", "DEQUANTIZE")


@pytest.fixture(scope="module")
def records(digits):
    return lambda: ({"image": image[np.newaxis]} for image in digits[0][:50])


def convert(model, records, scheme="int8", **options):
    config = QuantizationConfig(scheme=scheme, **options)
    return quantize(model, config, records if scheme in CALIBRATED_SCHEMES else None)


def agreement(content, model, images):
    scores = TFLiteModel(content, "file").predict({"image": images})["scores"]
    return (scores.argmax(1) == model.predict(images, verbose=0).argmax(1)).mean()


def dtypes(content):
    model = TFLiteModel(content, "file")
    return [np.dtype(end["dtype"]).name for ends in (model.inputs, model.outputs) for end in ends.values()]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_each_backend_makes_every_scheme_agree_with_the_model(trained, digits, records, backend, scheme):
    content = convert(trained, records, scheme, backend=backend)
    assert agreement(content, trained, digits[0][50:250]) >= 0.97
    assert dtypes(content) == ["int8" if scheme == "int8" else "float32"] * 2
    kinds = {operation.output_dtype for operation in operations(content) if operation.op not in NOT_COUNTED}
    assert kinds == {{"int8": "int8", "int16x8": "int16"}.get(scheme, "float32")}
    weights = {operation.weight_dtype for operation in operations(content)} - {""}
    if scheme in ("float32", "float16"):
        assert weights == {scheme}
    else:
        assert "int8" in weights


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_records_give_the_same_file(trained, records, backend):
    files = [convert(trained, records, backend=backend) for _ in range(2)]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("backend", "input_type", "output_type"),
    [(backend, one, other) for backend in BACKENDS for one in ENDS[backend] for other in ENDS[backend]],
)
def test_ends_have_the_types_that_were_asked_for(trained, digits, records, backend, input_type, output_type):
    content = convert(trained, records, backend=backend, input_type=input_type, output_type=output_type)
    assert dtypes(content) == [input_type, output_type]
    assert agreement(content, trained, digits[0][50:150]) >= 0.97
    inside = {operation.output_dtype for operation in operations(content) if operation.op not in NOT_COUNTED}
    assert inside == {"int8"}


@pytest.fixture(scope="module")
def names(converted):
    """Outputs of the float file's operations."""
    return [operation.output for operation in operations(converted["float32"])]


@pytest.fixture(scope="module", params=[(BACKENDS[0], "float32"), (BACKENDS[1], "float32"), (BACKENDS[1], "int16")])
def conversion(request, trained, records):
    """A conversion that can keep operations, and the precision that it keeps them in."""
    backend, keep = request.param
    config = QuantizationConfig(scheme="int8", backend=backend, selective=SelectiveConfig(min_agreement=1, keep=keep))
    return start_conversion(trained, config, records), keep


@pytest.mark.parametrize("numbers", [(0,), (3,), (0, 1), (3, 4), (0, 3, 4)])
def test_kept_operations_stay_and_all_others_are_int8(conversion, names, numbers, trained, digits):
    opened, keep = conversion
    kept = [names[number] for number in numbers]
    content = opened.convert(kept)
    found = {operation.output: operation.output_dtype for operation in operations(content)}
    assert {name: found[name] for name in names} == {name: keep if name in kept else "int8" for name in names}
    weights = {op.output: op.weight_dtype for op in operations(content) if op.weight_dtype}
    assert {weights[name] for name in kept if name in weights} <= {"float32" if keep == "float32" else "int8"}
    assert dtypes(content) == ["int8", "int8"]
    assert agreement(content, trained, digits[0][50:150]) >= 0.97


def test_nothing_kept_is_plain_int8(conversion, names):
    opened, _ = conversion
    opened.convert(names[:1])
    content = opened.convert()
    assert float_operations(content) == ()
    assert opened.convert(()) == content


def test_everything_kept_leaves_integers_at_the_ends_only(conversion, names, trained, digits):
    opened, keep = conversion
    content = opened.convert(names)
    kinds = {operation.output_dtype for operation in operations(content) if operation.op not in NOT_COUNTED}
    assert kinds == {keep}
    assert agreement(content, trained, digits[0][50:150]) >= 0.99


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_static_batch_is_one(trained, digits, records, backend):
    content = convert(trained, records, backend=backend, static_batch=True)
    (taken,) = TFLiteModel(content, "file").inputs.values()
    assert list(taken["shape_signature"]) == [1, 8, 8, 1]
    assert agreement(content, trained, digits[0][50:150]) >= 0.97


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_static_batch_of_open_sizes_is_refused(backend):
    values = LAYERS.Input((None, 4), name="values")
    model = tf_keras.Model(values, LAYERS.Dense(2)(values))
    config = QuantizationConfig(scheme="dynamic_range", backend=backend, static_batch=True)
    with pytest.raises(ModelError, match="the input 'values' of the shape") as refused:
        quantize(model, config)
    assert "static_batch" in refused.value.remedy


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_of_a_fixed_batch_gives_a_file_of_one_example(backend):
    values = LAYERS.Input((4,), batch_size=3, name="values")
    model = tf_keras.Model(values, LAYERS.Dense(2, name="out")(values))
    config = QuantizationConfig(
        scheme="float32" if backend == "converter" else "dynamic_range", backend=backend, static_batch=True
    )
    file = TFLiteModel(quantize(model, config), "file")
    (taken,) = file.inputs.values()
    assert list(taken["shape_signature"]) == [1, 4]
    given = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(file.predict({"values": given})["out"], model(given).numpy(), atol=0.02)


@pytest.fixture(scope="module")
def gelu():
    values = LAYERS.Input((4,), name="values")
    hidden = LAYERS.Lambda(tf.math.erf, name="erf")(LAYERS.Dense(3, name="dense")(values))
    return tf_keras.Model(values, LAYERS.Dense(2, name="out")(hidden), name="gelu")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("scheme", ["float32", "dynamic_range", "int8"])
def test_an_operation_that_tflite_lacks_is_named(gelu, backend, scheme):
    with pytest.raises(ModelError, match=r"model 'gelu' .*Erf"):
        convert(gelu, lambda: iter([{"values": np.ones((1, 4), np.float32)}]), scheme, backend=backend)


@pytest.mark.parametrize("scheme", ["float32", "float16", "dynamic_range"])
def test_an_operation_that_tflite_lacks_is_left_to_tensorflow_when_that_is_allowed(gelu, scheme):
    content = convert(gelu, None, scheme, allow_select_ops=True)
    found = [op.op for op in operations(content) if op.op != "DEQUANTIZE"]
    assert found == ["FULLY_CONNECTED", "FlexErf", "FULLY_CONNECTED"]
    assert has_select_ops(content)


def test_a_model_that_needs_none_of_tensorflows_operations_gets_none(trained, digits):
    content = convert(trained, None, "float16", allow_select_ops=True)
    assert not has_select_ops(content)
    assert agreement(content, trained, digits[0][50:150]) >= 0.97


def test_a_backend_that_is_not_installed_is_named(trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "litert_quantizer", None)
    monkeypatch.delitem(sys.modules, "slimline.core.quantization.backends.litert", raising=False)
    with pytest.raises(ConfigError, match="'litert-quantizer', which is not installed") as refused:
        quantize(trained, QuantizationConfig(scheme="float16", backend="litert-quantizer"))
    assert "slimline[litert-quantizer]" in refused.value.remedy
