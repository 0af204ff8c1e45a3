"""Parsed JSON in, the bytes that JavaScript would print out.

`canonical(parse(x))` is `JSON.stringify(JSON.parse(x))`, byte for byte, so a receiver that parses
and prints again computes the signature that was sent (ECMA-262, Number::toString, QuoteJSONString
and OrdinaryOwnPropertyKeys). The work is linear in the document, but for sorting integer keys that
are out of order. Trap: a document is as deep as its parser let it be; bound it there.
"""

import math
from operator import is_
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

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
