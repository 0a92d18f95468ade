import re
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from slimline.core.quantization.configuration import QuantizationConfig
from slimline.core.schemes import SCHEMES
from slimline.core.tflite.flatbuffer import operations, weight_tensors
from slimline.core.tflite.provenance import ENTRY, describe_origin, read_provenance_id, stamp
from slimline.core.tflite.runtime import TFLiteModel
from tests import handmade

ORIGIN: dict[str, Any] = {
    "source_digest": "sha256:a",
    "config": QuantizationConfig(scheme="int8").to_json(),
    "backend": "converter",
    "calibration_digest": "sha256:b",
    "training_digest": None,
}


def entries(content):
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    return [entry.name.decode() for entry in model.metadata or []]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_stamp_changes_no_output(converted, digits, scheme):
    before, images = converted[scheme], {"image": digits[0][:5]}
    after = stamp(before, "slimline-1")
    one, other = (TFLiteModel(content, scheme).predict(images)["scores"] for content in (before, after))
    assert np.array_equal(one, other)
    assert operations(after) == operations(before)
    assert weight_tensors(after) == weight_tensors(before)
    assert len(after) < len(before) + 1_000


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_stamped_is_read_and_what_the_converter_wrote_stays(converted, scheme):
    assert read_provenance_id(converted[scheme]) is None
    stamped = stamp(converted[scheme], "slimline-1")
    assert read_provenance_id(stamped) == "slimline-1"
    assert entries(stamped) == [*entries(converted[scheme]), ENTRY]


def test_the_same_stamp_twice_gives_the_same_file(converted):
    once = stamp(converted["int8"], "slimline-1")
    assert stamp(once, "slimline-1") == once
    assert stamp(converted["int8"], "slimline-1") == once


def test_a_stamp_replaces_the_one_before(converted):
    stamped = stamp(stamp(converted["int8"], "slimline-" + "1" * 32), "slimline-" + "2" * 32)
    assert read_provenance_id(stamped) == "slimline-" + "2" * 32
    assert b"1" * 32 not in stamped
    assert entries(stamped).count(ENTRY) == 1
    assert stamped == stamp(converted["int8"], "slimline-" + "2" * 32)


@given(text=st.text(min_size=1, max_size=200))
def test_a_file_without_any_metadata_takes_any_id(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert read_provenance_id(stamp(handmade.reshape(4), text)) == text


def test_the_same_origin_has_the_same_id():
    described = describe_origin(**ORIGIN).to_dict()
    assert described == describe_origin(**ORIGIN).to_dict()
    assert re.fullmatch("slimline-[0-9a-f]{32}", str(described["provenance_id"]))
    assert list(described)[:5] == [
        "provenance_id",
        "source_digest",
        "config_digest",
        "calibration_digest",
        "training_digest",
    ]
    assert {"slimline", "tensorflow"} <= set(described)


@pytest.mark.parametrize(
    "change",
    [
        {"source_digest": "sha256:c"},
        {"config": QuantizationConfig(scheme="int8", static_batch=True).to_json()},
        {"backend": "litert-quantizer"},
        {"calibration_digest": None},
        {"calibration_digest": None, "training_digest": "sha256:b"},
    ],
)
def test_another_origin_has_another_id(change):
    assert describe_origin(**{**ORIGIN, **change}).provenance_id != describe_origin(**ORIGIN).provenance_id


def test_the_backend_is_named_with_its_version(monkeypatch):
    monkeypatch.setattr("slimline.core.tflite.provenance.version", lambda package: f"version of {package}")
    described = describe_origin(**{**ORIGIN, "backend": "litert-quantizer"}).to_dict()
    assert described["litert-quantizer"] == "version of litert-quantizer"
    assert "tensorflow" not in described


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_a_damaged_file_has_no_id_or_some_and_never_crashes(converted, place, noise):
    content = bytearray(stamp(converted["float16"], "slimline-" + "2" * 32))
    place %= len(content)
    content[place : place + len(noise)] = noise
    found = read_provenance_id(bytes(content))
    assert found is None or len(found) <= 1_000


@pytest.mark.parametrize(
    "content", [b"", b"x", b"modeL", b"\0\0\0\0TFL3", b"\xff" * 64, b"\x08\0\0\0TFL3" + b"\xff" * 64]
)
def test_what_is_no_model_has_no_id(content):
    assert read_provenance_id(content) is None
