import json

import numpy as np
import pytest
import tf_keras

from slimline.core.models.saving import gzip_size
from slimline.core.quantization.advisor import Wishes, advise
from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.quantization.layer_report import remark
from slimline.core.quantization.production import Product, examine, gather_records, produce
from slimline.core.quantization.report import make_report, measure_sizes
from slimline.core.quantization.selective_config import SelectiveConfig
from slimline.core.quantization.stability import Stability
from slimline.core.schemes import CALIBRATED_SCHEMES, SCHEMES
from slimline.core.tflite.activations import ActivationError
from slimline.core.tflite.flatbuffer import Operation
from slimline.core.tflite.provenance import describe_origin

LAYERS = tf_keras.layers
ORIGIN = describe_origin(
    source_digest="sha256:0", config="{}", backend="converter", calibration_digest=None, training_digest=None
)
NAMES = ["image", "conv", "norm", "relu", "pool", "flatten", "dense", "scores"]


def rows(values, name="image"):
    return lambda: ({name: value[np.newaxis]} for value in values)


def report_of(model, config, product, representative=None, **options):
    records = gather_records(model, representative)
    examination = examine(model, product, records) if records else None
    return make_report(config, product, examination, records, origin=ORIGIN, **options).to_dict()


@pytest.fixture(scope="module")
def reports(trained, converted, digits):
    """Of every scheme."""
    return {
        scheme: report_of(
            trained,
            QuantizationConfig(scheme=scheme),
            Product(converted[scheme], converted["float32"]),
            rows(digits[0][:40]),
            layer_names=NAMES,
        )
        for scheme in SCHEMES
    }


@pytest.fixture(scope="module")
def wide_report(wide, digits):
    representative = rows(digits[0][:60])
    config = QuantizationConfig(scheme="int8")
    product = produce(wide, config, representative)
    return report_of(wide, config, product, representative, layer_names=[layer.name for layer in wide.layers])


def layers_by_name(report):
    return {layer["layers"][-1]: layer for layer in report["layers"] if layer["layers"]}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_report_is_strict_json(reports, scheme):
    text = json.dumps(reports[scheme], allow_nan=False)
    assert json.loads(text) == reports[scheme]
    assert reports[scheme]["scheme"] == scheme
    assert reports[scheme]["provenance"] == ORIGIN.to_dict()


def test_a_report_of_a_broken_model_is_strict_json_too(wide_report):
    assert json.loads(json.dumps(wide_report, allow_nan=False)) == wide_report


def test_a_ratio_without_noise_is_null(trained, converted, digits):
    product = Product(converted["float32"], converted["float32"])
    report = report_of(trained, QuantizationConfig(scheme="float32"), product, rows(digits[0][:5]))
    assert {layer["sqnr_db"] for layer in report["layers"]} == {None}
    assert {layer["added_noise"] for layer in report["layers"]} == {0}
    assert report["findings"] == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sizes_are_those_of_the_files(reports, converted, scheme):
    sizes = reports[scheme]["sizes"]
    assert sizes == measure_sizes(Product(converted[scheme], converted["float32"])).to_dict()
    assert (sizes["bytes"], sizes["float_bytes"]) == (len(converted[scheme]), len(converted["float32"]))
    assert sizes["gzip_bytes"] == gzip_size(converted[scheme])
    assert sizes["times_smaller"] == len(converted["float32"]) / len(converted[scheme])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_trial_is_told(reports, scheme):
    trial = reports[scheme]["trial"]
    assert (trial["num_records"], trial["records"]) == (40, "calibration")
    assert trial["outputs"]["scores"]["agreement"] >= 0.97
    assert reports[scheme]["calibration"]["num_records"] == 40


@pytest.mark.parametrize("scheme", ["float32", "dynamic_range", "int8", "int16x8"])
def test_bytes_of_the_layers_add_up(reports, trained, scheme):
    layers = reports[scheme]["layers"]
    assert [layer["op"] for layer in layers] == [
        "CONV_2D",
        "MAX_POOL_2D",
        "RESHAPE",
        "FULLY_CONNECTED",
        "FULLY_CONNECTED",
        "SOFTMAX",
    ]
    total = sum(layer["weight_bytes"] for layer in layers)
    before = sum(layer["float_weight_bytes"] or 0 for layer in layers)
    # The convolution takes the normalization in, and gets its bias from it.
    assert 4 * (72 + 8 + 128 * 32 + 32 + 32 * 10 + 10) <= before <= 4 * trained.count_params()
    assert total <= reports[scheme]["sizes"]["bytes"]
    if scheme == "float32":
        assert total == before
    if scheme in CALIBRATED_SCHEMES:
        assert 0.2 < total / before < 0.35
        assert {layer["weight_dtype"] for layer in layers} == {"int8", None}


@pytest.mark.parametrize("scheme", ["float32", "dynamic_range", "int8", "int16x8"])
def test_operations_are_named_after_their_layers(reports, scheme):
    layers = reports[scheme]["layers"]
    assert [layer["layers"] for layer in layers] == [
        ["conv", "norm", "relu"],
        ["pool"],
        ["flatten"],
        ["dense"],
        ["scores"],
        [],
    ]
    assert layers[0]["num_channels"] == 8
    assert layers[3]["max_distinct_per_channel"] > 1
    assert layers[1]["sparsity"] is None


def test_a_wide_range_is_found_and_its_cause_named_first(wide_report):
    layers = layers_by_name(wide_report)
    assert layers["conv"]["lost_channels"] >= 4
    assert "channels are lost: the largest channel is" in layers["conv"]["remark"]
    assert layers["flatten"]["remark"] == "it passes on the noise of its inputs"
    causes = [finding for finding in wide_report["findings"] if "all share one scale" in finding]
    assert [cause.split(" ")[0] for cause in causes] == ["conv"]
    assert wide_report["findings"][0].startswith("Output 'scores' keeps ")
    assert wide_report["findings"][1] == causes[0]


def test_a_good_model_has_no_findings(reports):
    for scheme in ("float32", "float16", "int16x8"):
        assert reports[scheme]["findings"] == []


def small():
    values = LAYERS.Input((2,), name="values")
    return tf_keras.Model(values, LAYERS.Dense(1, name="one")(values))


def test_a_model_too_small_to_save_anything_is_told():
    model, config = small(), QuantizationConfig(scheme="float16")
    report = report_of(model, config, produce(model, config))
    assert report["sizes"]["bytes"] >= report["sizes"]["float_bytes"]
    assert "in a model this small the scales outweigh what is saved" in report["findings"][0]


def test_random_records_are_told():
    model, config = small(), QuantizationConfig(scheme="dynamic_range")
    report = report_of(model, config, produce(model, config))
    assert any(finding.startswith("The file was tried on random inputs") for finding in report["findings"])
    assert (report["trial"]["records"], report["calibration"]["num_records"]) == ("random", 0)


def test_a_file_that_was_not_tried_is_told(converted):
    product = Product(converted["float16"], converted["float32"])
    report = make_report(QuantizationConfig(scheme="float16"), product, None, None, origin=ORIGIN).to_dict()
    assert report["trial"] is None
    assert [finding for finding in report["findings"] if finding.startswith("The file was not tried")]
    assert {layer["sqnr_db"] for layer in report["layers"]} == {None}
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize(("share", "is_told"), [(0.1, False), (0.5, True)])
def test_ranges_that_are_not_settled_are_told(trained, converted, digits, share, is_told):
    product = Product(converted["int8"], converted["float32"])
    report = report_of(
        trained,
        QuantizationConfig(scheme="int8"),
        product,
        rows(digits[0][:5]),
        stability=Stability(5, {"scores": share}, {"inside": 0.05}),
    )
    told = [finding for finding in report["findings"] if "sample more records" in finding]
    assert bool(told) == is_told
    assert report["calibration"]["stability"]["outputs"] == {"scores": share}
    if is_told:
        assert told[0].startswith("Two halves of the 5 calibration records differ by 50% in the range of 'scores'")


def test_advice_is_handed_on(trained, converted):
    advice = advise(Wishes(target="gpu"), "none")
    product = Product(converted["float16"], converted["float32"])
    report = report_of(trained, QuantizationConfig(scheme="float16"), product, advice=advice)
    assert json.loads(json.dumps(report["advice"]))["scheme"] == "float16"
    assert report["advice"]["reasons"]


@pytest.mark.parametrize(("min_sqnr_db", "met"), [(20, True), (300, False)])
def test_a_search_is_told_with_every_attempt(trained, digits, min_sqnr_db, met):
    representative = rows(digits[0][:40])
    config = QuantizationConfig(scheme="int8", selective=SelectiveConfig(min_sqnr_db=min_sqnr_db, max_conversions=2))
    product = produce(trained, config, representative)
    report = report_of(trained, config, product, representative)
    told, selection = report["selective"], product.selection
    assert selection is not None
    assert (told["meets_goal"], told["precision"]) == (met, "float32")
    assert told["goal"] == {"min_agreement": None, "min_sqnr_db": min_sqnr_db}
    assert told["num_conversions"] == len(told["attempts"]) == len(selection.attempts)
    assert told["kept"] == sorted(selection.best.kept)
    assert any("The goal of selective quantization is not met" in finding for finding in report["findings"]) != met
    json.dumps(report, allow_nan=False)


def error(signal, noise, largest):
    operation = Operation("CONV_2D", "a", 0, "float32", (), "", 0)
    return ActivationError(operation, *(np.array(values, float) for values in (signal, noise, largest)))


@pytest.mark.parametrize(
    ("found", "added", "said"),
    [
        (error([1, 1], [0.001, 0.001], [1, 1]), 0.001, ""),
        (error([1, 1], [0.5, 0.5], [1, 1]), 0.0, "it passes on the noise"),
        (
            error([1e6, 1, 1], [0, 1, 1], [1000, 1, 1]),
            0.6,
            "2 of 3 channels are lost: the largest channel is 1,000 times",
        ),
        (error([1, 1], [0.25, 0.25], [1, 1]), 0.25, "its noise has 50% of the signal's amplitude, and 2 of 2"),
        (error([1, 1], [0.04, 0.04], [1, 1]), 0.04, "its noise has 20% of the signal's amplitude: other"),
        (error([0, 0], [0, 0], [0, 0]), 0.0, ""),
    ],
)
def test_a_remark_says_what_is_wrong_and_what_helps(found, added, said):
    text = remark(found, added)
    assert text.startswith(said)
    assert bool(text) == bool(said)
