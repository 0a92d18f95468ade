"""Conversions that run the model to calibrate it, in a process of their own: some models end TensorFlow's converter.

int8 of a GRU or of a masked LSTM ends it with SIGSEGV (TensorFlow 2.21), and with it whoever called it. One process is
kept for all conversions, since importing TensorFlow takes longer than most of them.
"""

import atexit
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from slimline.core.internals.converter import ConverterError, calibrate_only
from slimline.core.isolation import IsolatedError, IsolatedProcess
from slimline.core.quantization.backends.base import Representative
from slimline.core.quantization.backends.settings import configure
from slimline.core.quantization.configuration import QuantizationConfig

# The converter's own bounds of patience: what takes longer hangs.
_TIME_LIMIT_S = 3_600
_lock = threading.Lock()
_kept: list[IsolatedProcess] = []


class ConversionFailedError(Exception):
    """The converter refused a model; the message is its own."""


def convert_calibrated(
    folder: Path, signature: str, config: QuantizationConfig, records: Representative, *, only_calibrate: bool
) -> bytes:
    """Converts a SavedModel with calibration records.

    Args:
      folder: Of the SavedModel; the records are written beside it.
      signature: Its signature.
      config: The scheme, decided.
      records: As `Source.representative`.
      only_calibrate: Whether to stop before the quantization.

    Raises:
      ConversionFailedError: The converter refused the model.
      IsolatedError: It did not live to its end.
    """
    _write(records, folder)
    with _lock:
        if not _kept:
            _kept.append(IsolatedProcess(None))
        try:
            kind, content = _kept[0].call(
                _convert, str(folder), signature, config.to_json(), only_calibrate, time_limit_s=_TIME_LIMIT_S
            )
        except IsolatedError:
            _kept.pop().close()
            raise
    if kind == "refused":
        raise ConversionFailedError(content.decode())
    return bytes(content)


@atexit.register
def _close() -> None:
    for process in _kept:
        process.close()
    _kept.clear()


def _convert(folder: str, signature: str, config: str, only_calibrate: bool) -> tuple[str, bytes]:
    """Converts; called in the process. Returns `made` with the file, or `refused` with the converter's words."""
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[signature])
    configure(converter, QuantizationConfig.from_json(config), lambda: _read(Path(folder)))
    if only_calibrate:
        calibrate_only(converter)
    try:
        return "made", bytes(converter.convert())
    # The part that calibrates raises plain RuntimeErrors.
    except (ConverterError, tf.errors.OpError, RuntimeError) as error:
        return "refused", str(error).encode()


def _write(records: Representative, folder: Path) -> None:
    arrays: dict[str, np.ndarray] = {}
    for row, record in enumerate(records()):
        if not row:
            arrays["names"] = np.array(list(record))
        for column, values in enumerate(record.values()):
            listed = np.asarray(values)
            arrays[f"{row}.{column}"] = listed.astype(np.bytes_) if listed.dtype == object else listed
    np.savez(_place(folder), **arrays)  # type: ignore[arg-type]


def _read(folder: Path) -> Iterator[Mapping[str, Any]]:
    with np.load(_place(folder)) as arrays:
        names = [str(name) for name in arrays["names"]]
        for row in range((len(arrays.files) - 1) // len(names)):
            yield {name: arrays[f"{row}.{column}"] for column, name in enumerate(names)}


def _place(folder: Path) -> Path:
    return folder / "calibration_records.npz"
