import json

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.schemes import SCHEMES
from slimline.core.tflite.io_spec import describe_ends
from slimline.core.tflite.runtime import TFLiteModel


def describe(content, **options):
    known = {"inputs": {}, "features": {}, "preprocessing": "None.", "label_names": ()}
    return describe_ends(content, **{**known, **options}).to_dict()


def store(real, end):
    """The formula of the specification, in another's hands."""
    if end["scale"] is None:
        return real.astype(end["dtype"])
    limits = np.iinfo(end["dtype"])
    stored = np.round(real / np.float32(end["scale"])) + end["zero_point"]
    return np.clip(stored, limits.min, limits.max).astype(end["dtype"])


def read(stored, end):
    return (
        stored.astype(np.float32) if end["scale"] is None else (stored.astype(float) - end["zero_point"]) * end["scale"]
    )


@pytest.fixture(scope="module")
def unsigned(trained, digits):
    config = QuantizationConfig(scheme="int8", input_type="uint8", output_type="float32")
    return quantize(trained, config, lambda: ({"image": image[np.newaxis]} for image in digits[0][:50]))


@pytest.fixture
def contents(converted, unsigned):
    return {**converted, "uint8": unsigned}


@pytest.mark.parametrize("kind", [*SCHEMES, "uint8"])
def test_code_that_follows_it_gets_what_litert_gives(contents, digits, kind):
    content, images = contents[kind], digits[0][:10]
    spec = describe(content)
    (taken,), (made,) = spec["inputs"], spec["outputs"]
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    scores = []
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], store(image[np.newaxis], taken))
        interpreter.invoke()
        scores.append(read(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0], made))
    expected = TFLiteModel(content, kind).predict({"image": images})["scores"]
    np.testing.assert_allclose(np.array(scores), expected, atol=1e-6)


@pytest.mark.parametrize("kind", [*SCHEMES, "uint8"])
def test_ends_are_those_of_the_file(contents, kind):
    spec = describe(contents[kind])
    (taken,), (made,) = spec["inputs"], spec["outputs"]
    assert (taken["name"], made["name"]) == ("image", "scores")
    assert (taken["shape"], made["shape"][1:]) == ([-1, 8, 8, 1], [10])
    types = {"int8": ("int8", "int8"), "uint8": ("uint8", "float32")}.get(kind, ("float32", "float32"))
    assert (taken["dtype"], made["dtype"]) == types
    for end in (taken, made):
        assert (end["scale"] is None) == (end["zero_point"] is None) == (end["dtype"] == "float32")
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec


def test_a_fixed_batch_is_told(trained):
    spec = describe(quantize(trained, QuantizationConfig(scheme="float32", static_batch=True)))
    assert spec["inputs"][0]["shape"] == [1, 8, 8, 1]
    assert spec["outputs"][0]["shape"] == [1, 10]


@given(values=st_np.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(3)), elements=st.floats(-9, 9, width=32)))
def test_the_observed_range_is_that_of_the_records(converted, values):
    observed = describe(converted["float32"], inputs={"image": values})["inputs"][0]["observed"]
    assert observed == {"min": values.min(), "max": values.max()}


@pytest.mark.parametrize("values", [np.array([b"a", b"b"]), np.zeros((0, 3)), None])
def test_what_has_no_range_has_none(converted, values):
    inputs = {} if values is None else {"image": values}
    assert describe(converted["float32"], inputs=inputs)["inputs"][0]["observed"] is None


def test_features_labels_and_preprocessing_are_handed_on(many, many_inputs):
    content = quantize(many, QuantizationConfig(scheme="float32"))
    spec = describe(
        content, inputs=many_inputs, features={"ids": "words"}, preprocessing="Scale.", label_names=("cat", "dog")
    )
    assert {end["name"]: end["feature"] for end in spec["inputs"]} == {"ids": "words", "left": None, "right": None}
    assert {end["name"]: end["dtype"] for end in spec["inputs"]}["ids"] == "int32"
    assert {end["name"] for end in spec["outputs"]} == {"one", "two"}
    assert (spec["preprocessing"], spec["label_names"]) == ("Scale.", ["cat", "dog"])
