"""Splits a batch's bytes into those of its items, so that no item can spoil another.

msgspec finds the items of a usual batch. Where it refuses, because some item nests too deep or
isn't quite JSON, and in a large batch, brackets and strings alone are followed: in steps of bounded
work, whatever the bytes are.
"""

import json
import re
from collections.abc import Generator
from itertools import islice
from typing import Final

import msgspec

from hookline.domain.documents import (
    _NO_BRACKETS,
    BYTE_ORDER_MARK,
    levels_of,
    malformed,
    not_utf8,
    refuse_other_encodings,
)
from hookline.errors import FieldProblem, InvalidInput, MalformedBody, TooLarge

_AT_ONCE: Final = 256 * 1024  # bytes in which msgspec finds the items within a few milliseconds
_STEP: Final = 512 * 1024  # bytes that are followed in a step, in about a millisecond
_RUN_COST: Final = 1_000  # bytes that take as long as the work for one match
_LEAST_WINDOW: Final = 1024  # bytes in which the end of an item is looked for
_MOST_WINDOW: Final = 64 * 1024  # bytes that are passed over at a time
_SHRINKS: Final = 4  # so many times, where a window reaches too far
_PAIRS: Final = 2  # times that pairs of brackets are left out: what is flat is gone then
_PART_COST: Final = 20  # bytes that take as long as a string
_BRACKET_COST: Final = 20  # and as a bracket
_MOST_MEMBERS: Final = 1_000  # of the batch's own object, which needs one
_LONGEST_HEAD: Final = 64  # bytes of an object's first key, and of what stands between items
_GUESSES: Final = 8  # that may be wrong; each costs what `_AT_ONCE` says
_LONGEST_KEY: Final = 64 * 1024  # bytes of a key of that object
_LONGEST_NAME: Final = 80  # characters of an unknown member that are said back
_MOST_NAMED: Final = 20  # unknown members
_NO_SUCH_FIELD: Final = "There is no such field; remove it."
_NOT_A_LIST = FieldProblem("events", "Send a list of events.")

# Where they would go back nothing else matches; bounded, so each match takes less than a step.
_SPACE = re.compile(rb"[ \t\n\r]{0,65536}+")
_IN_STRING = re.compile(rb'(?:[^"\\]{1,1024}+|\\.){0,64}', re.DOTALL)
_SCALAR = re.compile(rb"[^\[\]{},:\"]{0,65536}+")
_NESTING = re.compile(  # some brackets, or the beginning of a long string, and what is before them
    rb"""(?: [^\[\]{}"]{1,1024}+ | "(?:[^"\\]{1,1024}+|\\.){0,16}" ){0,32}
    (?: (?P<opening>[\[{]{1,65536}+) | (?P<closing>[\]}]{1,65536}+) | (?P<string>") )?""",
    re.DOTALL | re.VERBOSE,
)


# The batch's own object where it has `events` alone, once, as nearly all have it.
_BEFORE_LIST = re.compile(rb'[ \t\n\r]*+\{[ \t\n\r]*+"events"[ \t\n\r]*+:[ \t\n\r]*+')
_BEHIND_LIST = re.compile(rb"[ \t\n\r]*+\}[ \t\n\r]*+")


class _Body(msgspec.Struct):
    events: msgspec.Raw


_BODY = msgspec.json.Decoder(_Body)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


def split_batch(raw: bytes, *, at_most: int) -> Generator[None, None, list[bytes]]:
    """Return the bytes of each item of `{"events": [...]}`, in order, in steps of bounded work.

    An item's bytes may be anything that has a beginning and an end. Raises MalformedBody, also
    where `events` stands twice, InvalidInput where it is no list or has other members beside it,
    and TooLarge with more than `at_most` items.
    """
    before = _BEFORE_LIST.match(raw)
    if len(raw) > _AT_ONCE or before is None:
        return (yield from _Follower(raw, at_most).items())
    try:
        found = _BODY.decode(raw).events
        if not _BEHIND_LIST.fullmatch(raw, before.end() + len(memoryview(found))):
            return (yield from _Follower(raw, at_most).items())
        items = _ITEMS.decode(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return (yield from _Follower(raw, at_most).items())
    if len(items) > at_most:
        raise _too_many(at_most)
    return [bytes(item) for item in items]


class _Follower:
    """Follows a batch's brackets and strings, and yields whenever a step's work is done."""

    def __init__(self, raw: bytes, at_most: int) -> None:
        self._raw = raw
        self._at_most = at_most
        self._at = 0
        self._since = 0  # what was followed in this step, in bytes
        self._guesses = _GUESSES

    def items(self) -> Generator[None, None, list[bytes]]:
        """Return the items of the member that is called `events`, the only one there may be."""
        yield from self._skip(_SPACE)
        if self._next_byte() != b"{":
            refuse_other_encodings(self._raw)
            raise MalformedBody('A batch is one JSON object: {"events": [...]}.')
        items: list[bytes] | None = None
        unknown: dict[str, None] = {}
        members = 0
        self._at += 1
        yield from self._skip(_SPACE)
        while self._next_byte() != b"}":
            members += 1
            if members > _MOST_MEMBERS:
                raise _too_many_members()
            at = self._at
            if (key := (yield from self._key())) != "events":
                unknown[key] = None
                yield from self._value()
            elif items is None:
                items = yield from self._list()
            else:
                what = "the name 'events' stands a second time in one object"
                raise malformed(what, self._raw, at)
            yield from self._comma(b"}")
        self._at += 1
        yield from self._skip(_SPACE)
        if self._at != len(self._raw):
            raise _malformed("unexpected content after the batch", self._at)
        missing = () if items is not None else (_NOT_A_LIST,)
        if items is None or unknown:
            named = (
                FieldProblem(name[:_LONGEST_NAME] or "body", _NO_SUCH_FIELD) for name in unknown
            )
            raise InvalidInput(*missing, *islice(named, _MOST_NAMED))
        return items

    def _key(self) -> Generator[None, None, str]:
        start = self._at
        if self._next_byte() != b'"' or not (yield from self._string()):
            raise _malformed("expected a key in double quotes", start)
        if self._at - start > _LONGEST_KEY:
            raise _too_many_members()
        try:
            key = str(json.loads(self._raw[start : self._at].decode()))
        except UnicodeDecodeError as error:
            raise not_utf8(start + error.start) from error
        except ValueError as error:
            raise _malformed("expected a key in double quotes", start) from error
        yield from self._skip(_SPACE)
        if self._next_byte() != b":":
            raise _malformed("expected a colon", self._at)
        self._at += 1
        yield from self._skip(_SPACE)
        return key

    def _list(self) -> Generator[None, None, list[bytes]]:
        if self._next_byte() != b"[":
            raise InvalidInput(_NOT_A_LIST)
        items: list[bytes] = []
        self._at += 1
        yield from self._skip(_SPACE)
        while self._next_byte() != b"]":
            if len(items) == self._at_most:
                raise _too_many(self._at_most)
            start = self._at
            yield from self._value()
            items.append(self._raw[start : self._at])
            end = self._at
            yield from self._comma(b"]")
            between = self._raw[end : self._at]
            while len(items) < self._at_most and (alike := self._several(between)):
                items += map(bytes, alike[: self._at_most - len(items)])
                yield
        self._at += 1
        return items

    def _several(self, between: bytes) -> list[msgspec.Raw]:
        """Step over the next items, if they are objects that begin as the next one does; or none.

        Where such a beginning stands is a guess. It is right if msgspec takes all in front of it:
        then each bracket and string in there is closed.
        """
        raw, at = self._raw, self._at
        head = raw[at : raw.find(b":", at, at + _LONGEST_HEAD) + 1]
        if self._guesses == 0 or not head.startswith(b"{") or len(between) > _LONGEST_HEAD:
            return []
        end = raw.rfind(b"}%b%b" % (between, head), at, at + _AT_ONCE) + 1
        try:
            items = _ITEMS.decode(b"[%b]" % raw[at:end]) if end else []
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            items = []
        if items:
            self._at = end + len(between)
        else:
            self._guesses -= 1
        return items

    def _value(self) -> Generator[None]:
        start, first = self._at, self._next_byte()
        if first in (b"[", b"{"):
            yield from self._nesting()
        elif first == b'"':
            if not (yield from self._string()):
                raise _malformed("expected a value", start)
        else:
            if self._raw.startswith(BYTE_ORDER_MARK, start):
                raise _malformed("a byte order mark stands in front of a value", start)
            yield from self._skip(_SCALAR)
            if self._at == start:
                raise _malformed("expected a value", start)

    def _nesting(self) -> Generator[None]:
        """Step behind the bracket that closes the one here.

        Windows in which it is not closed are passed over whole: what is in them is counted, and not
        looked at one by one. They grow until one reaches too far, and then shrink to a small one.
        """
        start, depth, size, grows = self._at, 1, _LEAST_WINDOW, True
        self._at += 1
        while self._at < len(self._raw):
            end, brackets = yield from self._window(size)
            closed = brackets.count(b"]") + brackets.count(b"}")
            if closed < depth or min(levels_of(brackets, outside=depth)) > 0:
                depth += len(brackets) - 2 * closed
                self._at = end
                size = min(2 * size, _MOST_WINDOW) if grows else size
            elif size > _LEAST_WINDOW:
                size, grows = max(_LEAST_WINDOW, size // _SHRINKS), False
            else:
                yield from self._nesting_in_small_steps(depth)
                return
        raise _malformed("an array or object is not closed", start)

    def _window(self, size: int) -> Generator[None, None, tuple[int, bytes]]:
        """Return where the next `size` bytes end, behind a string, and brackets that stand there.

        Left out are those inside of strings, and pairs with nothing but such pairs between them.
        """
        at = self._at
        text = self._raw[at : at + size]
        plain = text.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in text else text
        parts = plain.split(b'"')  # each second one is in a string
        self._since += len(text) + _PART_COST * len(parts)
        if len(parts) % 2 == 0:
            self._at = at + len(text) - plain.endswith(b"\\")
            yield from self._skip(_IN_STRING)
            end, self._at = self._at + 1, at
        else:
            end = at + len(text)
        brackets = b"".join(parts[::2]).translate(None, _NO_BRACKETS)
        for _ in range(_PAIRS):
            brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        self._since += _BRACKET_COST * len(brackets)
        if self._since > _STEP:
            self._since = 0
            yield
        return end, brackets

    def _nesting_in_small_steps(self, depth: int) -> Generator[None]:
        """Step behind the bracket that closes `depth` of them, which is near."""
        raw, match = self._raw, _NESTING.match
        while (run := match(raw, self._at)) and run.end() > self._at:
            self._since += run.end() - self._at + _RUN_COST
            self._at = run.end()
            kind = run.lastgroup
            if kind == "opening":
                depth += self._at - run.start(kind)
            elif kind == "closing":
                closed = self._at - run.start(kind)
                if depth <= closed:
                    self._at -= closed - depth
                    return
                depth -= closed
            elif kind == "string":
                self._at -= 1
                yield from self._string()
            if self._since > _STEP:
                self._since = 0
                yield

    def _string(self) -> Generator[None, None, bool]:
        """Step behind the string that begins here; tell whether it ends."""
        self._at += 1
        yield from self._skip(_IN_STRING)
        closed = self._next_byte() == b'"'
        self._at += closed
        return closed

    def _comma(self, closing: bytes) -> Generator[None]:
        """Step over a comma to the next value, or stay at the closing bracket."""
        yield from self._skip(_SPACE)
        if self._next_byte() == closing:
            return
        if self._next_byte() != b",":
            raise _malformed("expected a comma", self._at)
        self._at += 1
        yield from self._skip(_SPACE)
        if self._next_byte() == closing:
            raise _malformed("trailing comma", self._at)

    def _skip(self, pattern: re.Pattern[bytes]) -> Generator[None]:
        """Step over all that matches."""
        while (found := pattern.match(self._raw, self._at)) and found.end() > self._at:
            self._since += found.end() - self._at + _RUN_COST
            self._at = found.end()
            if self._since > _STEP:
                self._since = 0
                yield

    def _next_byte(self) -> bytes:
        return self._raw[self._at : self._at + 1]


def _malformed(what: str, at: int) -> MalformedBody:
    return MalformedBody(f"The batch is not JSON: {what} at byte {at}.")


def _too_many(at_most: int) -> TooLarge:
    return TooLarge(f"A batch has at most {at_most} events; send the rest in another one.")


def _too_many_members() -> TooLarge:
    return TooLarge('A batch is {"events": [...]}; leave its thousands of other members out.')
