"""Parses a large document in steps of bounded work, and prints its large parts on the way.

So a megabyte of any shape keeps an event loop from others for a millisecond or two at a time. The
document is cut at commas into windows. Each window is parsed by itself, with brackets put in front
and behind for what is open there; complete values are printed at once, and joined as the arrays and
objects around them close.
"""

import re
import secrets
from collections.abc import Generator
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from typing import Any, Final

from hookline.domain.documents import (
    Printed,
    brackets_of,
    canonical,
    is_index,
    levels_of,
    load,
    malformed,
    too_deep,
)

WINDOW: Final = 8 * 1024  # bytes; a usual one takes half a millisecond, the worst a few
_STRING_AT_ONCE: Final = 256 * 1024  # bytes of a string, of which only the end is looked for
_MEMBERS_AT_ONCE: Final = 1_000  # of an object that is larger than a window

_SPACE: Final = b" \t\n\r"
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_TO_COMMA = re.compile(rb'[^",]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^",]*+)*', re.DOTALL)
_OPEN: Final = secrets.token_hex(16)
"""Marks in a window's text what begins before it or ends behind it; no sender can guess it."""


def parse_in_steps(raw: bytes, *, depth: int) -> Generator[None, None, object]:
    """Parse as `parse_document` does, in many steps; raise what it raises.

    Of a document that is larger than a window, arrays and objects come as `Printed`, but for the
    outermost object itself.
    """
    parser = _Parser(raw, depth)
    start = 0
    while start <= len(raw):
        window = yield from _window(raw, start)
        yield from parser.take(window)
        start = window.end + 1
    return parser.document


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of a document that ends in front of a comma, or with the document."""

    start: int
    end: int
    text: bytes
    brackets: bytes  # those outside of strings


def _window(raw: bytes, start: int) -> Generator[None, None, _Window]:
    """Return the window that ends with the first comma, outside of strings, behind its length."""
    limit = start + WINDOW
    head = raw[start:limit]
    unpaired = head.replace(rb"\\", b"")  # each backslash that is left escapes what follows
    if (unpaired.count(b'"') - unpaired.count(rb"\"")) % 2:
        limit = yield from _string_end(raw, limit - unpaired.endswith(b"\\"))
    found = _TO_COMMA.match(raw, limit)
    end = min(limit, len(raw)) if found is None else found.end()
    if raw[end : end + 1] != b",":
        end = len(raw)
    brackets = brackets_of(head) + brackets_of(raw[limit:end])
    return _Window(start, end, raw[start:end], brackets)


def _string_end(raw: bytes, at: int) -> Generator[None, None, int]:
    """Return where the string ends that is open at `at`; the end of the document where it isn't."""
    while (rest := _IN_STRING.match(raw, at, at + _STRING_AT_ONCE)) and rest.end() > at:
        at = rest.end()
        yield
    return at + 1 if raw[at : at + 1] == b'"' else len(raw)


class _Array:
    """An array that begins and ends in different windows."""

    opening, closing = "[", "]"

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, values: list[object]) -> None:
        """Take the next values, which are complete."""
        if values:
            self._parts.append(canonical(values)[1:-1])

    def add_open(self, values: list[object]) -> object:
        """Take the next values but for the last, which goes on in the next window; return that."""
        child = values.pop()
        self.add(values)
        return child

    def complete(self, child: Printed) -> None:
        """Take the value that went on, now that it has ended."""
        self._parts.append(child.text)

    def printed(self) -> Generator[None, None, Printed]:
        """Print all of it."""
        yield
        return Printed(b"[%b]" % b",".join(self._parts))


class _Object:
    """An object that begins and ends in different windows."""

    opening, closing = "{", "}"

    def __init__(self) -> None:
        self._members: dict[str, object] = {}
        self._first: dict[str, object] = {}  # whose keys JavaScript moves to the front
        self._ascending: list[list[str]] = []  # the keys of `_first`, a list for each window
        self._open_key = ""

    @property
    def members(self) -> dict[str, object]:
        """All members, those with keys that come first among them."""
        return self._first | self._members

    def add(self, members: dict[str, object]) -> None:
        """Take the next members, which are complete; the last of equal keys wins."""
        indexes: list[str] = []
        for key, value in members.items():
            if type(value) is dict or type(value) is list:
                members[key] = Printed(canonical(value))
            if key < ":" and is_index(key):
                indexes.append(key)
        for key in indexes:
            self._first[key] = members.pop(key)
        self._ascending.append(sorted(indexes, key=int))
        self._members.update(members)

    def add_open(self, members: dict[str, object]) -> object:
        """Take the next members, but return the value that goes on in the next window."""
        key, child = next(each for each in members.items() if _goes_on(each[1]))
        members[key] = None  # keeps its place
        self.add(members)
        self._open_key = key
        return child

    def complete(self, child: Printed) -> None:
        """Take the value that went on, now that it has ended."""
        around = self._first if self._open_key in self._first else self._members
        around[self._open_key] = child

    def printed(self) -> Generator[None, None, Printed]:
        """Print all of it, in JavaScript's order."""
        parts: list[bytes] = []
        first = (key for key, _ in groupby(merge(*self._ascending, key=int)))
        for keys, members in ((first, self._first), (iter(self._members), self._members)):
            while some := {key: members[key] for key in islice(keys, _MEMBERS_AT_ONCE)}:
                parts.append(canonical(some)[1:-1])
                yield
        return Printed(b"{%b}" % b",".join(parts))


_Container = _Array | _Object


class _Parser:
    """Takes one window after the other; knows which arrays and objects are open between them."""

    def __init__(self, raw: bytes, depth: int) -> None:
        self.document: object = None
        self._raw = raw
        self._depth = depth
        self._open: list[_Container] = []  # the outermost first

    def take(self, window: _Window) -> Generator[None]:
        """Take the next window."""
        last = window.end == len(self._raw)
        self._refuse_stray_comma(window, last=last)
        levels = levels_of(window.brackets, outside=len(self._open))
        if max(levels) > self._depth:
            raise too_deep(self._depth)
        lowest = 0 if last else max(0, min(levels))
        begun = [] if last or min(levels) < 0 else _begun(window.brackets, levels, lowest)
        yield
        value = self._load(window, lowest, begun)  # refuses brackets that don't agree
        if not (last or begun or lowest):
            raise malformed("the document has ended, and more follows", self._raw, window.end)
        inside = yield from self._close(value, lowest)
        self._begin(inside, begun)

    def _refuse_stray_comma(self, window: _Window, *, last: bool) -> None:
        """Refuse what would look right with brackets around it."""
        if window.start > 0 and window.text.lstrip(_SPACE)[:1] in {b"", b"]", b"}"}:
            raise malformed("a value is expected", self._raw, window.start)
        if not last and window.text.rstrip(_SPACE)[-1:] in {b"", b"[", b"{"}:
            raise malformed("a value is expected", self._raw, window.end)

    def _load(self, window: _Window, lowest: int, begun: list[type[_Container]]) -> object:
        """Parse a window with all brackets that it lacks, from the container around all of it."""
        around = self._open[lowest - 1 : lowest] if lowest else []
        before = ""
        for container in (*around, *self._open[lowest:]):
            before += f'"{_OPEN}":' * before.endswith("{") + container.opening
        behind = ""
        for kind in reversed(begun):
            behind += f',"{_OPEN}":0}}' if kind is _Object else f',"{_OPEN}"]'
        for container in around:
            behind += container.closing
        text = b"%b%b%b" % (before.encode(), window.text, behind.encode())
        return load(text, whole=self._raw, offset=window.start - len(before))

    def _close(self, value: object, lowest: int) -> Generator[None, None, Any]:  # Any: as parsed
        """Close what ends in this window; return what is new in the container around all of it."""
        inside: list[Any] = [value] if lowest else [[value]]
        for _ in self._open[lowest:]:
            around = inside[-1]
            inside.append(around.pop(0) if type(around) is list else around.pop(_OPEN))
        while len(self._open) > lowest:
            container = self._open.pop()
            container.add(inside.pop())
            if self._open:
                self._open[-1].complete((yield from container.printed()))
            elif type(container) is _Object:
                self.document = container.members
            else:
                self.document = yield from container.printed()
        return inside.pop()

    def _begin(self, inside: Any, begun: list[type[_Container]]) -> None:  # noqa: ANN401 - as above
        """Take what is new in a container, and open those in it that go on."""
        for kind in begun:
            inside = self._open[-1].add_open(inside) if self._open else inside[0]
            inside.pop(_OPEN if kind is _Object else -1)
            self._open.append(kind())
        if self._open:
            self._open[-1].add(inside)
        elif inside:
            self.document = inside[0]


def _begun(brackets: bytes, levels: list[int], lowest: int) -> list[type[_Container]]:
    """Return what is opened in a window and not closed in it, the outermost first."""
    opened_at = bytes(levels)
    return [
        _Object if brackets[opened_at.rindex(level)] == ord("{") else _Array
        for level in range(lowest, levels[-1])
    ]


def _goes_on(value: object) -> bool:
    if type(value) is list:
        return bool(value) and value[-1] == _OPEN
    return type(value) is dict and _OPEN in value
