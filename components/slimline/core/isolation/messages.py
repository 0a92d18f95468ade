"""What passes between parent and child: pickles one way, JSON with raw arrays the other way.

An answer is one message of JSON, and after it one message for each array. The JSON is `[lengths, kind, …]`, with the
arrays' lengths in bytes. Containers are lists that begin with what they are, so that a tuple comes back as one:
`["tuple", …]`, `["list", …]`, `["dict", [key, value], …]`, `["bytes", index]`, `["array", index, dtype, shape]` and
`["record", class, [field, value], …]`, where a class must be one that the called function says it returns.
"""

import dataclasses
import functools
import inspect
import json
import math
import pickle
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

MAX_HEADER_BYTES = 64 << 20
MAX_ARRAYS_BYTES = 4 << 30
_NUMBERS_AND_TEXT = "biufcSU"


class JunkError(Exception):
    """What a child sent is no answer."""


@dataclass(frozen=True)
class Event:
    """Something that a function told on its way.

    Attributes:
      value: Plain data.
    """

    value: Any


@dataclass(frozen=True)
class Answer:
    """What a call came to.

    Attributes:
      kind: `result`, `event`, `error` (of the user), `bug` or `memory`.
      value: Of the kind: the result, the event, name and parts of the error, the traceback, None.
    """

    kind: str
    value: Any


def send_request(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Sends a call to the child; arrays go beside the pickle, without a copy."""
    buffers: list[pickle.PickleBuffer] = []
    call = (function.__module__, function.__qualname__, arguments)
    content = pickle.dumps(call, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    connection.send_bytes(len(raw).to_bytes(8, "little") + content)
    for part in raw:
        connection.send_bytes(part)


def receive_request(connection: Connection) -> tuple[str, str, tuple[Any, ...]]:
    """Reads a call in the child. Its arrays can't be written to.

    Raises:
      EOFError: The parent is gone, or needs nothing more.
    """
    content = connection.recv_bytes()
    buffers = [connection.recv_bytes() for _ in range(int.from_bytes(content[:8], "little"))]
    call: tuple[str, str, tuple[Any, ...]] = pickle.loads(  # noqa: S301 - written by our own parent
        memoryview(content)[8:], buffers=buffers
    )
    return call


def send_answer(connection: Connection, kind: str, value: Any) -> None:
    """Sends plain data, arrays and dataclasses to the parent.

    Raises:
      TypeError: It holds anything else.
    """
    raw: list[Any] = []
    encoded = _encode(value, raw)
    connection.send_bytes(json.dumps([[len(part) for part in raw], kind, encoded]).encode())
    for part in raw:
        connection.send_bytes(part)


def receive_answer(connection: Connection, function: Callable[..., Any]) -> Answer:
    """Reads an answer in the parent.

    Args:
      connection: To the child.
      function: The one that was called; its annotation says what a result must be.

    Raises:
      JunkError: It is no answer to that call.
      EOFError: The child ended before or within its answer.
    """
    try:
        header = json.loads(connection.recv_bytes(MAX_HEADER_BYTES))
        lengths, kind, encoded = header
        if not all(type(n) is int and n >= 0 for n in lengths) or sum(lengths) > MAX_ARRAYS_BYTES:
            raise JunkError("lengths that can't be")
        raw = []
        for length in lengths:
            part = connection.recv_bytes(length)
            if len(part) != length:
                raise JunkError("an array that is too short")
            raw.append(part)
        annotation = _returned(function) if kind == "result" else Any
        value = _decode(encoded, raw, _records(annotation))
        if not isinstance(kind, str) or not _conforms(value, annotation):
            raise JunkError(f"a result that is not {annotation}")
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError, MemoryError) as error:
        raise JunkError(f"{type(error).__name__}: {error}") from error
    except (ConnectionError, OSError) as error:
        # `Connection` says so when a message is longer than it may be, or breaks off.
        raise (JunkError(str(error)) if "length" in str(error) else EOFError(str(error))) from error
    return Answer(kind, value)


def _encode(value: Any, raw: list[Any]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        raw.append(value)
        return ["bytes", len(raw) - 1]
    if isinstance(value, (np.ndarray, np.generic)):
        return _encode_array(value, raw)
    if isinstance(value, Mapping):
        return ["dict", *([_encode(key, raw), _encode(item, raw)] for key, item in value.items())]
    if isinstance(value, (tuple, list)):
        return ["tuple" if isinstance(value, tuple) else "list", *(_encode(item, raw) for item in value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [[field.name, _encode(getattr(value, field.name), raw)] for field in dataclasses.fields(value)]
        return ["record", type(value).__qualname__, *fields]
    raise TypeError(f"a {type(value).__name__} can't be sent: only plain data, arrays and dataclasses can")


def _encode_array(value: Any, raw: list[Any]) -> Any:
    array = np.asarray(value)
    if array.dtype.kind not in _NUMBERS_AND_TEXT:
        raise TypeError(f"an array of {array.dtype} can't be sent: only numbers, booleans and text of fixed length can")
    contiguous = np.ascontiguousarray(array)
    raw.append(contiguous.reshape(-1).view(np.uint8).data if array.size else b"")
    return ["array" if isinstance(value, np.ndarray) else "scalar", len(raw) - 1, array.dtype.str, list(array.shape)]


def _decode(encoded: Any, raw: Sequence[bytes], records: Mapping[str, type]) -> Any:
    if not isinstance(encoded, list):
        if isinstance(encoded, dict):
            raise JunkError("an object of JSON")
        return encoded
    tag, *rest = encoded
    if tag == "bytes":
        return raw[_index(rest[0])]
    if tag in ("array", "scalar"):
        array = _decode_array(raw[_index(rest[0])], rest[1], rest[2])
        return array if tag == "array" else array[()]
    if tag == "dict":
        return {_decode(key, raw, records): _decode(item, raw, records) for key, item in rest}
    if tag == "record":
        return records[rest[0]](**{name: _decode(item, raw, records) for name, item in rest[1:]})
    if tag in ("tuple", "list"):
        items = [_decode(item, raw, records) for item in rest]
        return tuple(items) if tag == "tuple" else items
    raise JunkError(f"a value of the kind {tag!r}")


def _index(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise JunkError("an index that can't be")
    return value


def _decode_array(content: bytes, dtype_name: Any, shape: Any) -> np.ndarray:
    # Only the form that `dtype.str` has: others describe records, and cost memory.
    if not isinstance(dtype_name, str) or dtype_name[:1] not in "<>|=" or not dtype_name[2:].isdigit():
        raise JunkError("a dtype that can't be")
    dtype = np.dtype(dtype_name)
    if dtype.kind not in _NUMBERS_AND_TEXT or not all(type(size) is int and size >= 0 for size in shape):
        raise JunkError("an array that can't be")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise JunkError("an array whose bytes are not those of its shape")
    # Through a bytearray, so that whoever asked may write to it.
    return np.frombuffer(bytearray(content), dtype).reshape(shape) if content else np.empty(shape, dtype)


@functools.cache
def _returned(function: Callable[..., Any]) -> Any:
    """Returns what a function says it returns; Any when it says nothing."""
    if not inspect.isfunction(function):
        return Any
    return typing.get_type_hints(function).get("return", Any)


def _records(annotation: Any) -> dict[str, type]:
    """Returns the dataclasses that an annotation names, and those that they hold, by name."""
    found: dict[str, type] = {}
    waiting = [annotation]
    while waiting:
        one = waiting.pop()
        waiting.extend(typing.get_args(one))
        if isinstance(one, type) and dataclasses.is_dataclass(one) and one.__qualname__ not in found:
            found[one.__qualname__] = one
            waiting.extend(typing.get_type_hints(one).values())
    return found


def _conforms(value: Any, annotation: Any) -> bool:
    """Says whether a value is what an annotation promises."""
    if annotation is Any or isinstance(annotation, typing.TypeVar):
        return True
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(_conforms(value, one) for one in arguments)
    if origin is typing.Literal:
        return value in arguments
    if annotation is None or annotation is types.NoneType:
        return value is None
    if annotation is float:
        return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        hints = typing.get_type_hints(annotation)
        return isinstance(value, annotation) and all(_conforms(getattr(value, name), hints[name]) for name in hints)
    kind = origin or annotation
    if not isinstance(kind, type):
        return True
    if not isinstance(value, kind):
        return False
    return _items_conform(value, arguments) if arguments and kind is not np.ndarray else True


def _items_conform(value: Any, arguments: tuple[Any, ...]) -> bool:
    if isinstance(value, Mapping):
        return all(_conforms(key, arguments[0]) and _conforms(item, arguments[1]) for key, item in value.items())
    if isinstance(value, tuple) and arguments[-1] is not Ellipsis and len(arguments) > 1:
        return len(value) == len(arguments) and all(map(_conforms, value, arguments))
    return all(_conforms(item, arguments[0]) for item in value)
