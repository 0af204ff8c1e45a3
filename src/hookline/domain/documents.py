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
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")  # of UTF-16, and of UTF-32
_SENTENCES = {  # by how the standard library's begin, which differ by Python's version
    "Expecting value": "a value is expected",
    "Expecting property name": "a name in double quotes is expected",
    "Expecting ':'": "a colon is expected",
    "Expecting ','": "a comma or a closing bracket is expected",
    "Illegal trailing comma": "a comma stands in front of a closing bracket",
    "Unterminated string": "a string begins that does not end,",
    "Invalid control character": "a control character stands in a string",
    "Invalid \\escape": "a backslash begins no escape",
    "Invalid \\uXXXX escape": "four hexadecimal digits are expected",
    "Extra data": "the document has ended, and more follows",
}
_UNREADABLE = "nothing that JSON has stands"
_NAMES = re.compile(rb'[{}]|"(?:[^"\\]|\\.)*+"(?:\s*+(:))?+', re.DOTALL)


def parse_document(raw: bytes, *, depth: int) -> object:
    """Parse strict JSON (RFC 8259); the last of several equal keys wins, at the first one's place.

    Raises TooLarge where arrays and objects nest deeper than `depth`, MalformedBody with the
    position for anything else that isn't JSON.
    """
    if raw.count(b"[") + raw.count(b"{") > depth and deepest(raw) > depth:
        raise too_deep(depth)
    return load(raw, whole=raw, offset=0)


def parse_unambiguous(raw: bytes, *, depth: int, names: int = 10_000) -> object:
    """Parse strict JSON in which no object has two members of the same name, as settings must be.

    Raises what `parse_document` does, MalformedBody for a name that stands twice, and TooLarge for
    more than so many names: what checks them takes longer than parsing.
    """
    document = parse_document(raw, depth=depth)
    _refuse_repeated_names(raw, names)
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
    refuse_other_encodings(whole)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(offset + error.start) from error
    try:
        return _LENIENT.decode(text)
    except json.JSONDecodeError as error:
        place = offset + len(text[: error.pos].encode())
        if place >= len(whole.rstrip()):
            raise malformed("the document ends before it is complete,", whole, place) from error
        sentences = (ours for theirs, ours in _SENTENCES.items() if error.msg.startswith(theirs))
        raise malformed(next(sentences, _UNREADABLE), whole, place) from error
    except _NotANumber as constant:
        place = offset + len(text[: refusal.pos].encode())
        raise malformed(f"{constant} is not a JSON value", whole, place) from refusal


def not_utf8(at: int) -> MalformedBody:
    """Return the refusal of a document whose byte `at` no UTF-8 has there."""
    return MalformedBody(f"This is not UTF-8 at byte {at}; send JSON as UTF-8.")


def refuse_other_encodings(whole: bytes) -> None:
    """Raise MalformedBody for what is empty, or seen to be no plain UTF-8 by its first bytes."""
    if not whole.strip():
        raise MalformedBody("This is empty; send one JSON document.")
    if whole.startswith(BYTE_ORDER_MARK):
        raise MalformedBody("This starts with a byte order mark (byte 0); send JSON without one.")
    if whole.startswith(_OTHER_MARKS) or 0 in whole[:2]:
        raise MalformedBody("This looks like UTF-16 or UTF-32 (byte 0); send JSON as UTF-8.")


def _refuse_repeated_names(raw: bytes, most: int) -> None:
    """Raise MalformedBody for the first name that stands twice in one object of valid JSON."""
    left = most
    around: list[set[str]] = []
    for found in _NAMES.finditer(raw):
        token = found[0]
        if token == b"{":
            around.append(set())
        elif token == b"}":
            around.pop()
        elif found[1]:
            left -= 1
            if left < 0:
                raise TooLarge(f"The document has more than {most:,} names; send fewer.")
            name = json.loads(token[:-1])
            if name in around[-1]:
                what = f"the name {name[:_LONGEST_NAME]!a} stands a second time in one object"
                raise malformed(what, raw, found.start())
            around[-1].add(name)


class _NotANumber(Exception):
    """`NaN` or `Infinity`, which Python reads and JSON doesn't have."""


def _refused(constant: str) -> Never:
    raise _NotANumber(constant)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _SURE_DIGITS else float(digits)


_LENIENT = json.JSONDecoder(parse_int=_integer, parse_constant=_refused)
