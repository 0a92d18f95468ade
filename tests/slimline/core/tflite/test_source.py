"""Files of other makers: without a signature, as candidates, as the original, and as what is quantized.

The other party is plain LiteRT in a loop of its own.
"""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.evaluation.gates import GateConfig, Threshold
from slimline.core.evaluation.use_case import CandidateFile, ValidationRequest, validate_candidates
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.quantization.use_case import QuantizationRequest, quantize_model
from slimline.core.tflite.runtime import TFLiteModel
from slimline.core.tflite.signature import end_names, with_signature
from slimline.core.tflite.source import TFLiteSource, is_tflite, open_model
from slimline.errors import ConfigError, ModelError


def without_signature(content: bytes) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.signatureDefs = []
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def plain_outputs(content: bytes, images: np.ndarray) -> np.ndarray:
    """Runs a file as LiteRT's guide does."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for image in images:
        values = image[np.newaxis]
        scale, zero_point = given["quantization"]
        if scale:
            values = np.clip(np.round(values / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(given["index"], values)
        interpreter.invoke()
        found = interpreter.get_tensor(made["index"])[0].astype(np.float32)
        scale, zero_point = made["quantization"]
        rows.append((found - zero_point) * scale if scale else found)
    return np.array(rows)


@pytest.fixture(scope="module")
def files(trained, digits, tmp_path_factory):
    """Paths of a float and an int8 file without signatures."""
    folder = tmp_path_factory.mktemp("foreign")
    records = lambda: ({"image": digits[0][row : row + 1]} for row in range(100))  # noqa: E731
    for scheme in ("float32", "int8"):
        content = quantize(trained, QuantizationConfig(scheme=scheme), records)
        (folder / f"{scheme}.tflite").write_bytes(without_signature(content))
    return {scheme: folder / f"{scheme}.tflite" for scheme in ("float32", "int8")}


@pytest.fixture(scope="module")
def parsed_schema():
    text = 'feature { name: "image" type: FLOAT shape { dim { size: 64 } } } '
    return text_format.Parse(
        text + 'feature { name: "digit" type: INT shape { dim { size: 1 } } }', schema_pb2.Schema()
    )


@pytest.mark.parametrize("scheme", ["float32", "int8"])
def test_a_file_without_a_signature_runs(files, digits, scheme):
    content = files[scheme].read_bytes()
    model = TFLiteModel(content, "foreign")
    assert not model.has_own_names
    (name,) = model.inputs
    (found,) = model.predict({name: digits[0][:20]}).values()
    np.testing.assert_allclose(found, plain_outputs(content, digits[0][:20]), atol=1e-5)


def test_a_signature_that_is_there_is_kept(trained):
    content = quantize(trained, QuantizationConfig(scheme="float32"))
    assert with_signature(content) is content
    assert TFLiteModel(content, "own").has_own_names


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["serving_default_image:0"], ["image"]),
        (
            ["StatefulPartitionedCall:0", "StatefulPartitionedCall:1"],
            ["StatefulPartitionedCall", "StatefulPartitionedCall_1"],
        ),
        (["", "x"], ["tensor_0", "x"]),
    ],
)
def test_names_are_short_and_different(names, short):
    assert end_names(names) == short


def test_a_float_file_stands_for_a_model(files, digits):
    source = open_model(files["float32"])
    assert isinstance(source, TFLiteSource)
    found = np.asarray(source(digits[0][:30]))
    np.testing.assert_allclose(found, plain_outputs(files["float32"].read_bytes(), digits[0][:30]), atol=1e-5)


@pytest.fixture(scope="module")
def evaluation(files, examples_folder, parsed_schema):
    request = ValidationRequest(
        baseline=files["float32"],
        candidates=[CandidateFile("int8", "", files["int8"])],
        files=[str(path) for path in sorted(examples_folder.rglob("*.gz"))][:1],
        config=GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0.2),)),
        schema=parsed_schema,
        data=ExamplesConfig(label_key="digit"),
    )
    return validate_candidates(request)


def test_a_foreign_file_is_judged_against_a_foreign_original(evaluation):
    report = evaluation.report_of("int8")
    assert report.verdict == "pass", report.reasons
    assert evaluation.baseline["size_bytes"] > report.size_bytes
    assert report.metrics["accuracy"] == pytest.approx(evaluation.baseline["metrics"]["accuracy"], abs=0.2)


def test_a_foreign_file_is_judged_against_a_keras_model(files, trained, examples_folder, parsed_schema, tmp_path):
    trained.save(tmp_path / "model.h5")
    evaluation = validate_candidates(
        ValidationRequest(
            baseline=tmp_path / "model.h5",
            candidates=[CandidateFile("float32", "", files["float32"])],
            files=[str(path) for path in sorted(examples_folder.rglob("*.gz"))][:1],
            config=GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0.1),)),
            schema=parsed_schema,
            data=ExamplesConfig(label_key="digit"),
        )
    )
    report = evaluation.report_of("float32")
    assert report.verdict == "pass", report.reasons
    assert report.metrics["accuracy"] == evaluation.baseline["metrics"]["accuracy"]


def test_a_float_file_is_quantized(files, examples_folder, parsed_schema, digits):
    calibration = [str(path) for path in sorted(examples_folder.rglob("*.gz"))][:1]
    config = QuantizationConfig(scheme="int8", backend="litert-quantizer")
    quantized = quantize_model(
        QuantizationRequest(
            model=files["float32"],
            config=config,
            calibration=calibration,
            schema=parsed_schema,
            data=ExamplesConfig(label_key="digit"),
        )
    )
    content = quantized.package.content
    assert len(content) < 0.5 * files["float32"].stat().st_size
    float_outputs = plain_outputs(files["float32"].read_bytes(), digits[0][:100])
    same = plain_outputs(content, digits[0][:100]).argmax(axis=1) == float_outputs.argmax(axis=1)
    assert same.mean() >= 0.97


def test_the_converter_can_not_take_a_file_apart(files):
    with pytest.raises(ConfigError, match="litert-quantizer"):
        quantize(TFLiteSource(files["float32"]), QuantizationConfig(scheme="dynamic_range"))


def test_what_is_quantized_is_not_quantized_again(files):
    config = QuantizationConfig(scheme="dynamic_range", backend="litert-quantizer")
    with pytest.raises(ModelError, match="already"):
        quantize(TFLiteSource(files["int8"]), config)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x00" * 4 + b"TFL3" + b"\xff" * 64])
def test_what_is_no_file_of_tflite_is_refused(tmp_path, content):
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    assert is_tflite(path)
    with pytest.raises(ModelError, match=r"could not load|can load"):
        open_model(path)
