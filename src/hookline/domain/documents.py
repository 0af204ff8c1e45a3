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
        raise too_deep(depth)
    return load(raw, whole=raw, offset=0)


def parse_unambiguous(raw: bytes, *, depth: int) -> object:
    """Parse strict JSON in which no object has two members of the same name, as settings must be.

    Raises what `parse_document` does, and MalformedBody for a name that stands twice.
    """
    document = parse_document(raw, depth=depth)
    _UNAMBIGUOUS.decode(raw.decode())
    return document


def deepest(raw: bytes) -> int:
    """Return how deep brackets nest outside of strings, in linear time, whatever the bytes are."""
    return max(levels_of(brackets_of(raw), outside=0))


def brackets_of(raw: bytes) -> bytes:
    """Return the brackets that stand outside of strings; the bytes begin outside of one."""
    return _STRING.sub(b"", raw).translate(None, _NO_BRACKETS)


def levels_of(brackets: bytes, *, outside: int) -> list[int]:
    """Return how many brackets are open before each bracket, and at the end."""
    steps = memoryview(brackets.translate(_STEPS)).cast("b")
    return list(accumulate(steps, initial=outside))


def too_deep(depth: int) -> TooLarge:
    """Return the refusal of a document that nests deeper than `depth`."""
    return TooLarge(f"Arrays and objects nest at most {depth} deep; flatten the document.")


def load(text: bytes, *, whole: bytes, offset: int) -> object:
    """Parse a part of a document, whose first byte is at `offset` of the whole one.

    Raises MalformedBody with the place in the whole document.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as refusal:
        return _load_slowly(text, refusal, whole, offset)


def malformed(what: str, whole: bytes, at: int) -> MalformedBody:
    """Return the refusal of a document that is wrong at this byte."""
    line_start = whole.rfind(b"\n", 0, at) + 1
    line = whole.count(b"\n", 0, at) + 1
    column = len(whole[line_start:at].decode(errors="replace")) + 1
    return MalformedBody(f"This is not JSON: {what} at line {line}, column {column}.")


def _load_slowly(raw: bytes, refusal: orjson.JSONDecodeError, whole: bytes, offset: int) -> object:
    if whole.startswith(_BYTE_ORDER_MARK):
        raise MalformedBody("This starts with a byte order mark (byte 0); send JSON without one.")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        place = offset + error.start
        raise MalformedBody(f"This is not UTF-8: {error.reason} at byte {place}.") from error
    try:
        return _LENIENT.decode(text)
    except json.JSONDecodeError as error:
        place = offset + len(text[: error.pos].encode())
        raise malformed(error.msg, whole, place) from error
    except _NotANumber as constant:
        place = offset + len(text[: refusal.pos].encode())
        raise malformed(f"{constant} is not a JSON value", whole, place) from refusal


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
