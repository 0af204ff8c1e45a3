"""JSON documents as JavaScript has them: read strictly and bounded, printed canonically.

orjson reads nearly everything; what it refuses although JavaScript doesn't (lone surrogates,
numbers beyond a double) the standard library reads. Work and memory are linear in the bytes.

`canonical(parse(x))` is `JSON.stringify(JSON.parse(x))`, byte for byte, so a receiver that parses
and prints again computes the signature that was sent (ECMA-262, Number::toString, QuoteJSONString
and OrdinaryOwnPropertyKeys). The work is linear in the document, but for sorting integer keys that
are out of order. Trap: a document is as deep as its parser let it be; bound it there.
"""

import json
import math
import re
from itertools import accumulate
from operator import is_
from typing import TYPE_CHECKING, Any, Final, Never

import msgspec
import orjson

from hookline.errors import MalformedBody, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterable

_SAFE_INTEGER: Final = 2**53 - 1  # Number.MAX_SAFE_INTEGER: up to here every integer is exact
_LAST_INDEX: Final = 2**32 - 2  # the greatest array index; JavaScript moves such keys to the front
_INDEX_DIGITS: Final = len(str(_LAST_INDEX))
_WITH_EXPONENT: Final = 1e21  # from here on Number::toString prints an exponent; orjson does so too
_SMALL_FROM, _SMALL_BELOW = 1e-6, 1e-5  # Number::toString prints no exponent here; orjson does

_MARK: Final = "\U0010fffe"  # a noncharacter; stands before what orjson would refuse or escape
_MARKED: Final = (  # in the order in which they are put back
    (f"{_MARK}d".encode(), rb"\ud"),  # the first digit of every surrogate
    (f"{_MARK}/".encode(), rb"\\"),
    (f"{_MARK}=".encode(), _MARK.encode()),
)
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
_TRAILING_COMMA = re.compile(r",\s*[}\]]\Z")
_UNREADABLE = "nothing that JSON has stands"
_NAMES = re.compile(rb'[{}]|"(?:[^"\\]|\\.)*+"(?:\s*+(:))?', re.DOTALL)


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
        said = next(sentences, _UNREADABLE)
        if _TRAILING_COMMA.search(text[: error.pos + 1]):  # Python below 3.13 does not say so
            said = _SENTENCES["Illegal trailing comma"]
        raise malformed(said, whole, place) from error
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


class Printed(msgspec.Struct, frozen=True, gc=False):
    """A part of a document that is printed already."""

    text: bytes


def canonical(document: object) -> bytes:
    """Print a parsed JSON document as `JSON.stringify` does, in UTF-8.

    The document is the printer's from here on: it is changed on the way. A lone surrogate is
    escaped in lower case; a number that JavaScript reads as infinite is `null`.
    """
    whole = [document]
    _settle(whole)
    try:
        return orjson.dumps(whole[0])
    except orjson.JSONEncodeError:  # a lone surrogate, which orjson doesn't print
        _mark_surrogates(whole)
        printed = orjson.dumps(whole[0])
        for marked, unmarked in _MARKED:
            printed = printed.replace(marked, unmarked)
        return printed


def is_index(key: str) -> bool:
    """Tell whether JavaScript moves this key before all others of its object."""
    return (
        len(key) <= _INDEX_DIGITS
        and key.isdecimal()
        and key.isascii()
        and (key[0] != "0" or len(key) == 1)
        and int(key) <= _LAST_INDEX
    )


def _settle(whole: list[object]) -> None:  # noqa: C901 - a call for each part costs more
    """Put numbers and keys into the form and order in which orjson prints them as JavaScript does.

    One loop without recursion: this is most of what printing costs.
    """
    pending: list[Any] = [whole]  # lists and dicts
    values: Iterable[tuple[Any, Any]]
    while pending:
        container = pending.pop()
        if type(container) is dict:
            if min(container) < ":":  # digits, or what sorts before them
                _put_indexes_first(container)
            values = container.items()
        else:
            values = enumerate(container)
        for place, value in values:
            kind = type(value)
            if kind is str:
                continue
            if kind is int:
                if not -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
                    container[place] = _settled_integer(value)
            elif kind is list or kind is dict:
                if value:
                    pending.append(value)
            elif kind is float and (value.is_integer() or _SMALL_FROM <= abs(value) < _SMALL_BELOW):
                container[place] = _settled_float(value)
            elif kind is Printed:
                container[place] = orjson.Fragment(value.text)


def _put_indexes_first(members: dict[str, object]) -> None:
    indexes = [key for key in members if key < ":" and is_index(key)]
    if len(indexes) > 1:
        indexes.sort(key=int)
    if all(map(is_, members, indexes)):
        return
    ordered = {key: members[key] for key in indexes}
    ordered.update(members)
    members.clear()
    members.update(ordered)


def _settled_integer(value: int) -> object:
    try:
        return _settled_float(float(value))
    except OverflowError:
        return math.inf  # printed as null


def _settled_float(value: float) -> object:
    """Return what prints as Number::toString, for a value that orjson prints in another way."""
    if -_SAFE_INTEGER <= value <= _SAFE_INTEGER and value.is_integer():
        return int(value)  # 1.0 is 1, and -0.0 is 0
    if abs(value) >= _WITH_EXPONENT:
        return value
    mantissa, _, exponent = repr(value).partition("e")  # the shortest digits, as in JavaScript
    whole, _, fraction = mantissa.partition(".")
    if not exponent:
        return orjson.Fragment(whole)  # an integer beyond the safe ones: its fraction is zero
    if exponent[0] == "+":
        return orjson.Fragment(whole + fraction.ljust(int(exponent), "0"))
    sign, digit = whole[:-1], whole[-1]
    return orjson.Fragment(f"{sign}0.00000{digit}{fraction}")


def _mark_surrogates(whole: list[object]) -> None:
    """Replace each lone surrogate with text that orjson prints."""
    pending: list[Any] = [whole]  # lists and dicts
    values: Iterable[tuple[Any, Any]]
    while pending:
        container = pending.pop()
        if type(container) is dict:
            if not all(map(str.isascii, container)):
                members = {_marked(key): value for key, value in container.items()}
                container.clear()
                container.update(members)
            values = container.items()
        else:
            values = enumerate(container)
        for place, value in values:
            kind = type(value)
            if kind is str:
                if not value.isascii():
                    container[place] = _marked(value)
            elif kind is list or kind is dict:
                pending.append(value)


def _marked(text: str) -> str:
    """Return a text in which `_MARKED` stands for surrogates, backslashes and the mark itself."""
    clear = text.replace(_MARK, f"{_MARK}=").replace("\\", f"{_MARK}/")
    escaped = clear.encode(errors="backslashreplace")  # only surrogates have a backslash now
    return escaped.replace(rb"\u", _MARK.encode()).decode()
