"""One batch's bytes in, each item's bytes out, so that no item can spoil another.

msgspec finds the items of a usual batch. Where it refuses, because some item nests too deep or
isn't quite JSON, or could be made to allocate too much, brackets and strings alone are followed.
"""

import json
import re

import msgspec

from hookline.errors import FieldProblem, InvalidInput, MalformedBody, TooLarge

_MANY_COMMAS = 250_000  # msgspec finds every item before it counts them, at 64 bytes each
_MOST_MEMBERS = 1_000  # of the batch's own object, which needs one; each costs microseconds
_NOT_A_LIST = FieldProblem("events", "Send a list of events.")

_SPACE = re.compile(rb"[ \t\n\r]*+")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)  # possessive: never goes back
_SCALAR = re.compile(rb"[^\[\]{},:\"]++")
_NESTING = re.compile(  # a run of brackets and all before it; matches to the end, so it is linear
    rb"""(?:[^\[\]{}"]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?+)*+
    (?: (?P<opening>[\[{]++) | (?P<closing>[\]}]++) | \Z )""",
    re.DOTALL | re.VERBOSE,
)


class _Body(msgspec.Struct):
    events: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_BODY = msgspec.json.Decoder(_Body)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


def split_batch(raw: bytes, *, at_most: int) -> list[bytes]:
    """Return the bytes of each item of `{"events": [...]}`, in order.

    An item's bytes may be anything that has a beginning and an end. Raises MalformedBody,
    InvalidInput where `events` is no list, and TooLarge with more than `at_most` items.
    """
    if raw.count(b",") > _MANY_COMMAS:
        return _follow(raw, at_most)
    try:
        found = _BODY.decode(raw).events
        if found is msgspec.UNSET:
            raise InvalidInput(_NOT_A_LIST)
        items = _ITEMS.decode(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _follow(raw, at_most)
    if len(items) > at_most:
        raise _too_many(at_most)
    return [bytes(item) for item in items]


def _follow(raw: bytes, at_most: int) -> list[bytes]:
    at = _after_space(raw, 0)
    if raw[at : at + 1] != b"{":
        raise MalformedBody('A batch is one JSON object: {"events": [...]}.')
    items: list[bytes] | None = None
    members = 0
    at = _after_space(raw, at + 1)
    while raw[at : at + 1] != b"}":
        members += 1
        if members > _MOST_MEMBERS:
            raise TooLarge(
                'A batch is {"events": [...]}; leave its thousands of other members out.'
            )
        key, at = _key(raw, at)
        if key == "events":
            items, at = _items(raw, at, at_most)
        else:
            at = _value_end(raw, at)
        at = _next(raw, at, b"}")
    if _after_space(raw, at + 1) != len(raw):
        raise _malformed("unexpected content after the batch", at + 1)
    if items is None:
        raise InvalidInput(_NOT_A_LIST)
    return items


def _key(raw: bytes, at: int) -> tuple[str, int]:
    found = _STRING.match(raw, at)
    if found is None:
        raise _malformed("expected a key in double quotes", at)
    try:
        key = str(json.loads(found[0].decode()))
    except ValueError as error:
        raise _malformed("expected a key in double quotes", at) from error
    colon = _after_space(raw, found.end())
    if raw[colon : colon + 1] != b":":
        raise _malformed("expected a colon", colon)
    return key, _after_space(raw, colon + 1)


def _items(raw: bytes, at: int, at_most: int) -> tuple[list[bytes], int]:
    if raw[at : at + 1] != b"[":
        raise InvalidInput(_NOT_A_LIST)
    items: list[bytes] = []
    at = _after_space(raw, at + 1)
    while raw[at : at + 1] != b"]":
        if len(items) == at_most:
            raise _too_many(at_most)
        end = _value_end(raw, at)
        items.append(raw[at:end])
        at = _next(raw, end, b"]")
    return items, at + 1


def _value_end(raw: bytes, at: int) -> int:
    first = raw[at : at + 1]
    if first in (b"[", b"{"):
        return _nesting_end(raw, at)
    found = (_STRING if first == b'"' else _SCALAR).match(raw, at)
    if found is None:
        raise _malformed("expected a value", at)
    return found.end()


def _nesting_end(raw: bytes, at: int) -> int:
    depth = 0
    for run in _NESTING.finditer(raw, at):
        start, end = run.span("opening")
        depth += end - start
        start, end = run.span("closing")
        if 0 < depth <= end - start:
            return start + depth
        depth -= end - start
    raise _malformed("an array or object is not closed", at)


def _next(raw: bytes, at: int, closing: bytes) -> int:
    """Step over a comma to the next value, or stay at the closing bracket."""
    at = _after_space(raw, at)
    if raw[at : at + 1] == closing:
        return at
    if raw[at : at + 1] != b",":
        raise _malformed("expected a comma", at)
    at = _after_space(raw, at + 1)
    if raw[at : at + 1] == closing:
        raise _malformed("trailing comma", at)
    return at


def _after_space(raw: bytes, at: int) -> int:
    found = _SPACE.match(raw, at)
    return at if found is None else found.end()


def _malformed(what: str, at: int) -> MalformedBody:
    return MalformedBody(f"The batch is not JSON: {what} at byte {at}.")


def _too_many(at_most: int) -> TooLarge:
    return TooLarge(f"A batch has at most {at_most} events; send the rest in another one.")
