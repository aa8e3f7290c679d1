"""Canonical bytes of an event: the part of RFC 8785 that events are allowed to use.

Keys are ASCII, values are strings, integers within 2^53, booleans, null, lists and objects. Within
that part every canonicaliser agrees (audit_crypto.md 0, finding 10); floats are refused.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from audit.errors import AuditFault

MAX_BYTES = 4096
MAX_INTEGER = 2**53 - 1
_UNPLAIN = re.compile(rb"[\x00-\x1f\x7f\\]")


def _whole(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        raise ValueError("an integer is larger than 2^53")
    return int(text)


def _refuse(text: str) -> None:
    raise ValueError(f"not allowed: {text[:1]}")


_PLAIN = json.JSONDecoder(parse_int=_whole, parse_float=_refuse, parse_constant=_refuse)
_FAST = msgspec.json.Encoder(order="sorted")
_WRITE = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def canonical(value: Any) -> bytes:
    """Return the canonical JSON bytes of `value`.

    Raises:
        AuditFault: ``FG-AUD-01`` when a key is not ASCII, a number is not a small integer, a type is
            not allowed, or the result is longer than 4 KiB.
    """
    try:
        _check(value)
        data = _written(value)
    except RecursionError:
        raise _fault("the value is nested too deeply") from None
    if len(data) > MAX_BYTES:
        raise _fault("the event is longer than 4 KiB")
    return data


def parse(data: bytes) -> Any:
    """Parse canonical bytes and refuse anything that is not byte-equal when written again.

    Nearly every event is plain ASCII without an escape. Written again byte-equal, such bytes can break no
    rule but that of numbers: a key that stands twice is lost, an order that is another is changed.
    """
    if len(data) <= MAX_BYTES and data.isascii() and not _UNPLAIN.search(data):
        try:
            value = _PLAIN.decode(data.decode("ascii"))
            plain = _WRITE.encode(value).encode("ascii") == data
        except (ValueError, RecursionError):
            raise _fault("the bytes are not JSON") from None
        if plain:
            return value
    return _parse_slowly(data)


def _parse_slowly(data: bytes) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            raise _fault("a key stands twice")
        return result

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=pairs)
    except (ValueError, RecursionError):  # Not UTF-8, not JSON, too many digits, too deep.
        raise _fault("the bytes are not JSON") from None
    if canonical(value) != data:
        raise _fault("the bytes are not canonical")
    return value


def _written(value: Any) -> bytes:
    """Write what was checked: there is nothing left in it that two writers would write apart."""
    try:
        return _FAST.encode(value)
    except TypeError:  # A kind of text or number of its own.
        return _WRITE.encode(value).encode("utf-8")


def _check(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not (key.isascii() and key.isprintable()):
                raise _fault("a key is not printable ASCII text")
            if type(item) is not str or not item.isprintable():
                _check(item)
    elif isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, str):
        if not value.isprintable():  # Surrogates and line separators are not printable either.
            raise _fault("a string holds a control character")
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise _fault("an integer is larger than 2^53")
    elif value is not None:
        raise _fault(f"a value of type {type(value).__name__} is not allowed")


def _fault(why: str) -> AuditFault:
    return AuditFault("FG-AUD-01", why, "Report this fault; nothing was disclosed.")
