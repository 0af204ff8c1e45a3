"""Parsed JSON in, the bytes that JavaScript would print out.

`canonical(parse(x))` is `JSON.stringify(JSON.parse(x))`, byte for byte, so a receiver that parses
and prints again computes the signature that was sent (ECMA-262, Number::toString, QuoteJSONString
and OrdinaryOwnPropertyKeys). Trap: a document is as deep as its parser let it be; bound it there.
"""

import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from operator import is_
from typing import Any, cast

import orjson

_SAFE_INTEGER = 2**53 - 1  # Number.MAX_SAFE_INTEGER: up to here every integer prints as it is
_LAST_INDEX = 2**32 - 2  # the greatest array index; JavaScript moves such keys to the front
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}").fullmatch
_SURROGATE = re.compile("[\ud800-\udfff]")
_POINT_FROM, _POINT_TO = 1e-3, 1e15  # well inside the range in which orjson prints as JavaScript
_EXPONENT_ABOVE, _EXPONENT_BELOW = 21, -6  # Number::toString's own bounds, in decimal digits


def canonical(document: object) -> bytes:
    """Print a parsed JSON document as `JSON.stringify` does, in UTF-8; the document stays as it is.

    A lone surrogate is escaped in lower case; a number that JavaScript reads as infinite is `null`.
    """
    settled = _settled(document)
    try:
        return orjson.dumps(settled)
    except orjson.JSONEncodeError:  # a lone surrogate, which orjson doesn't print
        return _printed(settled).encode()


def is_index(key: str) -> bool:
    """Tell whether JavaScript moves this key before all others of its object."""
    return _INDEX(key) is not None and int(key) <= _LAST_INDEX


def _settled(value: object) -> object:
    """Return a value that orjson prints as JavaScript; the same one where nothing is to change."""
    settle = _SETTLERS.get(type(value))
    return value if settle is None else settle(value)


def _settled_object(document: dict[str, object]) -> dict[str, object]:
    changed: dict[str, object] = {}
    indexed = False
    for key, value in document.items():
        if key < ":" and is_index(key):  # the comparison spares most keys the call
            indexed = True
        if type(value) is str:  # most are
            continue
        settle = _SETTLERS.get(type(value))
        if settle is not None and (settled := settle(value)) is not value:
            changed[key] = settled
    if changed:
        document = {**document, **changed}
    return _indexes_first(document) if indexed else document


def _indexes_first(document: dict[str, object]) -> dict[str, object]:
    ordered = {key: document[key] for key in sorted(filter(is_index, document), key=int)}
    return {**ordered, **document}


def _settled_list(values: list[object]) -> list[object]:
    settled = [_settled(value) for value in values]
    return values if all(map(is_, settled, values)) else settled


def _settled_integer(value: int) -> object:
    if -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
        return value
    try:
        nearest = float(value)
    except OverflowError:
        nearest = math.inf
    return orjson.Fragment(_number(nearest))


def _settled_float(value: float) -> object:
    if value.is_integer() and -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
        return int(value)  # 1.0 is 1, and -0.0 is 0
    if _POINT_FROM <= abs(value) < _POINT_TO:
        return value
    return orjson.Fragment(_number(value))


_SETTLERS: dict[type, Callable[[Any], object]] = {  # Any: each takes what its key says
    dict: _settled_object,
    list: _settled_list,
    int: _settled_integer,
    float: _settled_float,
}


def _number(value: float) -> str:
    """Print a double as Number::toString does, from the same shortest digits that Python finds."""
    if not math.isfinite(value):
        return "null"
    parts = Decimal(repr(value)).as_tuple()
    digits = "".join(map(str, parts.digits))
    point = len(digits) + cast("int", parts.exponent)  # digits before the decimal point
    digits = digits.rstrip("0")
    return "-" * parts.sign + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    if len(digits) <= point <= _EXPONENT_ABOVE:
        return digits.ljust(point, "0")
    if 0 < point <= _EXPONENT_ABOVE:
        return f"{digits[:point]}.{digits[point:]}"
    if _EXPONENT_BELOW < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def _printed(settled: object) -> str:
    """Print what `_settled` returned without orjson's refusal of lone surrogates."""
    match settled:
        case dict():
            members = (f"{_quoted(key)}:{_printed(value)}" for key, value in settled.items())
            return f"{{{','.join(members)}}}"
        case list():
            return f"[{','.join(map(_printed, settled))}]"
        case str():
            return _quoted(settled)
        case _:
            return orjson.dumps(settled).decode()


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
