"""Bytes in, a JSON document out, as JavaScript reads it: strict, and never deeper than allowed.

orjson reads nearly everything; what it refuses although JavaScript doesn't (lone surrogates,
numbers beyond a double) the standard library reads. Work and memory are linear in the bytes.
"""

import json
import re
from itertools import accumulate
from typing import Never

import orjson

from hookline.errors import MalformedBody, TooLarge

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+', re.DOTALL)  # possessive: never goes back
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # one down and one up, as signed bytes
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[{]}")
_SURE_DIGITS = 18  # an integer of so many digits is quick to make and exact; longer ones round
_LONGEST_NAME = 80  # characters of a repeated name that are said back
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_document(raw: bytes, *, depth: int) -> object:
    """Parse strict JSON (RFC 8259); the last of several equal keys wins, at the first one's place.

    Raises TooLarge where arrays and objects nest deeper than `depth`, MalformedBody with the
    position for anything else that isn't JSON.
    """
    if raw.count(b"[") + raw.count(b"{") > depth and deepest(raw) > depth:
        raise TooLarge(f"Arrays and objects nest at most {depth} deep; flatten the document.")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as refusal:
        return _parse_slowly(raw, refusal)


def parse_unambiguous(raw: bytes, *, depth: int) -> object:
    """Parse strict JSON in which no object has two members of the same name, as settings must be.

    Raises what `parse_document` does, and MalformedBody for a name that stands twice.
    """
    document = parse_document(raw, depth=depth)
    _UNAMBIGUOUS.decode(raw.decode())
    return document


def deepest(raw: bytes) -> int:
    """Return how deep brackets nest outside of strings, in linear time, whatever the bytes are."""
    brackets = _STRING.sub(b"", raw).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(memoryview(brackets).cast("b"), initial=0))


def _parse_slowly(raw: bytes, refusal: orjson.JSONDecodeError) -> object:
    if raw.startswith(_BYTE_ORDER_MARK):
        raise MalformedBody("This starts with a byte order mark (byte 0); send JSON without one.")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"This is not UTF-8: {error.reason} at byte {error.start}.") from error
    try:
        return _LENIENT.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedBody(
            f"This is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except _NotANumber as constant:
        raise MalformedBody(
            f"This is not JSON: {constant} is not a JSON value"
            f" at line {refusal.lineno}, column {refusal.colno}."
        ) from refusal


class _NotANumber(Exception):
    """`NaN` or `Infinity`, which Python reads and JSON doesn't have."""


def _refused(constant: str) -> Never:
    raise _NotANumber(constant)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _SURE_DIGITS else float(digits)


def _each_name_once(members: list[tuple[str, object]]) -> dict[str, object]:
    document: dict[str, object] = {}
    for name, value in members:
        if name in document:
            raise MalformedBody(f"The name {name[:_LONGEST_NAME]!a} stands twice in one object.")
        document[name] = value
    return document


_LENIENT = json.JSONDecoder(parse_int=_integer, parse_constant=_refused)
_UNAMBIGUOUS = json.JSONDecoder(parse_int=_integer, object_pairs_hook=_each_name_once)
