"""Documents of every shape that was found to be expensive to parse and print, of a given size."""

import random
from collections.abc import Iterable

_RECORD = (
    b'{"direction":"INBOUND","duration":125,"start":1721836787753,"flows":[{"extension":"230",'
    b'"caller":{"name":"John Smith","phone":"+390461123456"},"answered":true,"queue":null,'
    b'"score":4.5}]}'
)
_PIECES = {
    "plain": _RECORD,
    "1e-7": b"1e-7",
    "1e-6": b"1e-6",
    "1e16": b"1e16",
    "1e21": b"1e21",
    "1e999": b"1e999",
    "1.0": b"1.0",
    "-0.0": b"-0.0",
    "small integers": b"1",
    "long fraction": b"1.2345678901234567e-6",
    "beyond 2^53": b"9007199254740993",
    "thirty digits": b"1" * 30,
    "empty arrays": b"[]",
    "empty objects": b"{}",
    "tiny objects": b'{"a":1}',
    "integer key": b'{"1":1}',
    "descending pair": b'{"1":0,"0":0}',
    "equal keys": b'{"a":1,"a":2}',
    "tower of arrays": b"[" * 60 + b"1.5" + b"]" * 60,
    "tower of objects": b'{"":' * 60 + b"1" + b"}" * 60,
    "escapes": b'"\\n"',
    "lone surrogates": b'"\\ud800"',
    "surrogate keys": b'{"\\ud800":1}',
    "two-byte characters": '"é"'.encode(),
}


def shapes(size: int) -> dict[str, bytes]:
    """Return one event for each shape, of about `size` bytes."""
    lists = {name: b"[%b]" % b",".join([p] * (size // (len(p) + 1))) for name, p in _PIECES.items()}
    one_of_many = lists["plain"][:-1] + b',"\\ud800"]'
    count = size // 12
    shuffled = random.Random(1).sample(range(count), count)  # noqa: S311 - no secret
    objects = {
        "ascending keys": _members(range(count), "%d"),
        "descending keys": _members(range(count, 0, -1), "%d"),
        "shuffled keys": _members(shuffled, "%d"),
        "many keys": _members(range(count), "k%x"),
        "long keys": _members(range(size // 900), f"%x{'k' * 900}"),
        "surrogate members": _members(range(size // 17), "\\ud800%x"),
    }
    single = {
        "one long string": b'"%b"' % (b"a" * size),
        "one string of escapes": b'"%b"' % (b"\\n" * (size // 2)),
        "one string of surrogates": b'"%b"' % (b"\\ud800" * (size // 6)),
        "one long number": b"1" * size,
        "one lone surrogate": one_of_many,
    }
    return {name: event(data) for name, data in (lists | objects | single).items()}


def event(data: bytes) -> bytes:
    """Return an event whose data is `{"x": data}`."""
    return b'{"id":"1","company":"c","time":1,"type":"call:completed","data":{"x":%b}}' % data


def repeated(text: str, size: int) -> bytes:
    """Return an event of about `size` bytes that repeats a JSON text."""
    piece = text.encode()
    return event(b"[%b]" % b",".join([piece] * max(1, size // (len(piece) + 1))))


def _members(numbers: Iterable[int], key: str) -> bytes:
    return ("{" + ",".join(f'"{key % number}":1' for number in numbers) + "}").encode()
