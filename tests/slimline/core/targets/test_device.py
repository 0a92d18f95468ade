import json
import subprocess
import sys

import pytest
import tf_keras

from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.conversion import quantize
from slimline.core.targets.device import read_measurement
from slimline.errors import ConfigError

LAYERS = tf_keras.layers


@pytest.fixture(scope="module")
def content():
    """Of 40 kB: the benchmark gives sizes in hundredths of a megabyte."""
    image = LAYERS.Input((100,), name="x")
    return quantize(tf_keras.Model(image, LAYERS.Dense(100, name="y")(image)), QuantizationConfig(scheme="float32"))


@pytest.fixture(scope="module")
def measured(content, tmp_path_factory):
    """What LiteRT's benchmark says of the file on this machine."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "model.tflite").write_bytes(content)
    tool = "ai_edge_litert.tools.benchmark_litert_model"
    options = [f"--model={folder / 'model.tflite'}", f"--result_json={folder / 'result.json'}", "--num_runs=5"]
    subprocess.run([sys.executable, "-m", tool, *options], check=True, capture_output=True)
    return folder / "result.json"


@pytest.fixture
def changed(measured, tmp_path):
    """Writes the result with other values."""

    def write(**values):
        path = tmp_path / "changed.json"
        path.write_text(json.dumps({**json.loads(measured.read_text()), **values}))
        return str(path)

    return write


def test_a_real_result_is_read(measured, content):
    written = json.loads(measured.read_text())
    measurement = read_measurement(str(measured), len(content))
    assert measurement.source == str(measured)
    assert measurement.latency_ms == {name: written["latency"][f"{name}_ms"] for name in ("avg", "median", "p95")}
    assert (measurement.num_threads, measurement.accelerators) == (1, ("CPU",))
    assert measurement.fully_accelerated is True


def test_a_missing_file_is_refused():
    with pytest.raises(ConfigError, match=r"no file nowhere\.json"):
        read_measurement("nowhere.json", None)


def test_a_measurement_of_another_file_is_refused(measured, content):
    with pytest.raises(ConfigError) as refused:
        read_measurement(str(measured), 10 * len(content))
    assert "measured of a file of 0.04 MB" in refused.value.found
    assert f"{10 * len(content) / 1024**2:.2f} MB" in refused.value.expected


@pytest.mark.parametrize(("off", "fits"), [(0.005, True), (-0.005, True), (0.006, False), (-0.006, False)])
def test_sizes_may_differ_by_what_is_rounded_away_and_no_more(changed, content, off, fits):
    path = changed(model_size_mb=len(content) / 1024**2 + off)
    if fits:
        assert read_measurement(path, len(content))
    else:
        with pytest.raises(ConfigError, match="measured of a file of"):
            read_measurement(path, len(content))


def test_without_a_known_size_any_file_s_measurement_is_taken(changed):
    assert read_measurement(changed(model_size_mb=99), None)


@pytest.mark.parametrize("text", ["", "no JSON", "[1, 2]", "null", "{}", '{"latency": {}}', '{"latency": 3}'])
def test_what_is_no_result_of_the_benchmark_is_refused(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ConfigError, match="no result of LiteRT's benchmark"):
        read_measurement(str(tmp_path / "result.json"), None)


@pytest.mark.parametrize(
    "values",
    [
        {"num_threads": None},
        {"accelerators": None},
        {"model_size_mb": "large"},
        {"latency": {"avg_ms": 1.0, "median_ms": 1.0}},
        {"latency": {"avg_ms": 1.0, "median_ms": "fast", "p95_ms": 1.0}},
    ],
)
def test_a_result_without_a_figure_is_refused(changed, values):
    with pytest.raises(ConfigError, match="no result of LiteRT's benchmark"):
        read_measurement(changed(**values), None)
