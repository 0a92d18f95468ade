import keyword

import pytest
import tensorflow as tf
import tf_keras

from slimline.core.model_io import export_for_conversion
from slimline.core.quantization import QuantizationConfig, quantize
from slimline.errors import ModelError

LAYERS = tf_keras.layers


@pytest.mark.parametrize("name", ["for", "lambda", "None"])
def test_an_input_that_is_named_like_a_word_of_python_is_refused(tmp_path, name):
    assert keyword.iskeyword(name)
    values, other = LAYERS.Input((2,), name=name), LAYERS.Input((2,), name="other")
    for inputs in (values, [other, values]):
        model = tf_keras.Model(inputs, LAYERS.Dense(1)(values))
        with pytest.raises(ModelError, match=f"named '{name}', which is a word of Python"):
            export_for_conversion(model, model.output_names, tmp_path)
        with pytest.raises(ModelError, match=f"named '{name}', which is a word of Python"):
            quantize(model, QuantizationConfig(scheme="float32"))


@pytest.mark.parametrize("name", ["match", "cls", "inputs", "print"])
def test_an_input_with_any_other_name_keeps_it(tmp_path, name):
    values = LAYERS.Input((2,), name=name)
    model = tf_keras.Model(values, LAYERS.Dense(1, name="out")(values))
    signature = export_for_conversion(model, ["out"], tmp_path)
    exported = tf.saved_model.load(str(tmp_path)).signatures[signature]
    assert list(exported.structured_input_signature[1]) == [name]
    assert list(exported.structured_outputs) == ["out"]
