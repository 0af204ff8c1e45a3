"""What copies of events leave out: paths, checked and warned of, and copies without what they name.

A stored payload is canonical JSON: there is no space in it, and each name is printed in one way. So
a copy is the payload without some of its bytes, and nothing has to be parsed or printed again. The
work is linear in the event, however many paths there are, and comes in steps.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from msgspec.structs import replace

from hookline.background import run_at_once
from hookline.domain.catalogue import EventType
from hookline.domain.documents import canonical
from hookline.domain.events import Event
from hookline.domain.filters import Filter
from hookline.errors import FieldProblem, InvalidInput

MOST_PATHS: Final = 50
LONGEST_PATH: Final = 200  # characters
ELEMENTS: Final = "*"
_ACCEPTED: Final = frozenset({"id", "pbx", "company", "time", "type", "data"})
_ENVELOPE: Final = _ACCEPTED | {"integrationId"}
_UNSTORABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MOST_PROBLEMS: Final = 20  # told at once
_MOST_FIELDS: Final = 50_000  # of examples that are looked at; some 10 ms
_MOST_WARNINGS: Final = 20
_MOST_COMPARED: Final = 100  # names, for the one that may have been meant
_MOST_QUOTED: Final = 200  # characters of a path that are said back


def parse_omit(raw: object, path: str = "omit") -> tuple[str, ...]:
    """Check the paths that copies leave out; a repeated one collapses.

    Raises InvalidInput with the place of each wrong one (`omit[2]`), the first twenty of them.
    """
    if not isinstance(raw, list):
        raise InvalidInput(FieldProblem(path, 'Give a list of paths, such as ["data.chunks"].'))
    if len(raw) > MOST_PATHS:
        advice = f"At most {MOST_PATHS} paths are possible; these are {len(raw)}."
        raise InvalidInput(FieldProblem(path, advice))
    found = (
        FieldProblem(f"{path}[{place}]", wrong)
        for place, each in enumerate(raw)
        if (wrong := _problem(each)) is not None
    )
    if problems := tuple(islice(found, _MOST_PROBLEMS)):
        raise InvalidInput(*problems)
    return tuple(dict.fromkeys(raw))


def _problem(path: object) -> str | None:
    if not isinstance(path, str) or not 1 <= len(path) <= LONGEST_PATH:
        return f"Give a path of 1 to {LONGEST_PATH} characters, such as data.flows.*.caller.phone."
    if _UNSTORABLE.search(path):
        return "Leave out control characters and lone surrogates."
    names = path.split(".")
    if not all(names):
        return "A path is names with a dot between them, and none of them is empty."
    if names[0] == ELEMENTS:
        return "A star stands for the elements of an array; an event is an object: name a field."
    if len(names) == 1 and names[0] in _ENVELOPE:
        return f"{names[0]} is a field of the envelope, which every copy has; name what is in data."
    return None


def path_warnings(
    pattern: Filter | None, omit: Sequence[str], types: Iterable[EventType]
) -> list[FieldProblem]:
    """Return a warning for each path that no example has, the first twenty of them.

    There is none where no type has an example, or where those are too large to look at all.
    """
    examples = [kind.example for kind in types if kind.example]
    if not examples or not (pattern or omit):
        return []
    filtered, omitted = set(_ACCEPTED), set(_ACCEPTED)
    seen = 0
    for example in examples:
        for inside_arrays, path in _fields(example):
            seen += 1
            if seen > _MOST_FIELDS:
                return []
            omitted.add(path)
            filtered.add(inside_arrays)
    leaves = dict.fromkeys(pattern.paths if pattern else ())
    wanted = [
        *((f"filter.{path}", path, filtered) for path in leaves),
        *((f"omit[{place}]", path, omitted) for place, path in enumerate(omit)),
    ]
    unknown = ((at, path, known) for at, path, known in wanted if path not in known)
    return [_warning(*each) for each in islice(unknown, _MOST_WARNINGS)]


def _fields(example: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield each field twice: as filters name it, and with a star for elements of arrays."""
    pending: list[tuple[object, str, str]] = [(example, "", "")]
    while pending:
        value, plain, starred = pending.pop()
        if isinstance(value, Mapping):
            for key, below in value.items():
                paths = f"{plain}{key}", f"{starred}{key}"
                yield paths
                pending.append((below, f"{paths[0]}.", f"{paths[1]}."))
        elif isinstance(value, list) and value:
            yield plain.removesuffix("."), f"{starred}{ELEMENTS}"
            pending += [(each, plain, f"{starred}{ELEMENTS}.") for each in value]


def _warning(at: str, path: str, known: set[str]) -> FieldProblem:
    meant = _meant(path, known)
    guess = f"; did you mean {meant}?" if meant else "."
    return FieldProblem(
        at[:_MOST_QUOTED],
        f"No example of the chosen event types has {path[:_MOST_QUOTED]}{guess} It is kept, since"
        " PBXs gain fields.",
    )


def _meant(path: str, known: set[str]) -> str | None:
    """Return the field of this name elsewhere, or else one beside this path of a similar name."""
    above, _, name = path.rpartition(".")
    elsewhere = [each for each in known if each.rpartition(".")[2] == name]
    if elsewhere:
        return min(elsewhere, key=lambda each: (len(each), each))
    beside = {each.rpartition(".")[2] for each in known if each.rpartition(".")[0] == above}
    nearest = get_close_matches(name[:_MOST_QUOTED], sorted(beside)[:_MOST_COMPARED], n=1)
    return f"{above}.{nearest[0]}" if nearest else None


_REMEMBERED: Final = 1_024  # lists of paths that are kept compiled
_AT_ONCE: Final = 500  # strings, or values, between two steps; some tenths of a millisecond
_BYTES: Final = 256  # that take as long as a value

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_PLAIN = rb'[^"\[\]{}]*+'  # numbers, literals and what separates values
_STRINGS = rb"%b(?:%b%b){0,%d}" % (_PLAIN, _STRING, _PLAIN, _AT_ONCE)
_FLAT = rb"[\[{]%b[\]}]" % _STRINGS  # an array or object without others in it
_TO_BRACKET = re.compile(_STRINGS, re.DOTALL)
_TO_NESTED = re.compile(
    rb"%b(?:(?:%b|%b)%b){0,%d}" % (_PLAIN, _STRING, _FLAT, _PLAIN, _AT_ONCE), re.DOTALL
)
_MEMBER = re.compile(rb"(%b):(?:%b|[^\[{,}]++)?" % (_STRING, _STRING), re.DOTALL)
_QUOTE, _COMMA, _COLON = b'",:'
_ARRAY, _ARRAY_END, _OBJECT, _OBJECT_END = b"[]{}"
_OPENING, _CLOSING = b"[{", b"]}"

_Tree = dict[bytes, Any]  # Any: by name as it is printed, a _Tree, or None where a path ends
_ELEMENTS: Final = canonical(ELEMENTS)
_KEPT: Final[_Tree] = {}


def without(event: Event, paths: Sequence[str]) -> Event:
    """Return an event without what these paths name, printed in JavaScript's form.

    A path that names nothing changes nothing.
    """
    return run_at_once(without_in_steps(event, paths))


def without_in_steps(event: Event, paths: Sequence[str]) -> Generator[None, None, Event]:
    """Do what `without` does, in steps; nearly all take less than a millisecond."""
    raw = event.payload
    cuts = _Cuts(raw, _tree(tuple(paths)))
    yield from cuts.find()
    if not cuts.found:
        return event
    kept: list[bytes] = []
    at, splice = 0, event.splice
    for number, (start, end) in enumerate(cuts.found, 1):
        if number % _AT_ONCE == 0:
            yield
        kept.append(raw[at:start])
        at = end
        if end <= event.splice:  # what stands there, the type, is never left out
            splice -= end - start
    kept.append(raw[at:])
    return replace(event, payload=b"".join(kept), splice=splice, hashed=None)


@lru_cache(maxsize=_REMEMBERED)
def _tree(paths: tuple[str, ...]) -> _Tree:
    """Return the paths by their names; what ends at a name covers all below it."""
    root: _Tree = {}
    for path in paths:
        *above, last = map(canonical, path.split("."))
        node: _Tree | None = root
        for name in above:
            if node is not None:
                node = node.setdefault(name, {})
        if node is not None:
            node[last] = None
    return root


class _Cuts:
    """Finds what goes from a payload, in one pass over it."""

    def __init__(self, raw: bytes, tree: _Tree) -> None:
        self.found: list[tuple[int, int]] = []  # from where to where, in ascending order
        self._raw = raw
        self._at = 1
        self._open: list[tuple[_Tree, int]] = [(tree, _OBJECT)]  # in which something may go

    def find(self) -> Generator[None]:
        """Go through the whole payload."""
        while self._open:
            below, kind = self._open[-1]
            yield from self._members(below) if kind == _OBJECT else self._elements(below)
            yield

    def _members(self, below: _Tree) -> Generator[None]:
        """Go through an object up to its end, or to a member in which something may go."""
        raw, depth = self._raw, len(self._open)
        seen = 0
        while len(self._open) == depth:
            if raw[self._at] == _OBJECT_END:
                self._at += 1
                self._open.pop()
                return
            if raw[self._at] == _COMMA:
                self._at += 1
            member = _MEMBER.match(raw, self._at)
            assert member is not None  # noqa: S101 - it was printed
            rest = below.get(member[1], _KEPT)
            self._at = member.end()
            nested = raw[self._at - 1] == _COLON
            if rest is None:
                if nested:
                    yield from self._pass_value()
                self._cut_member(member.start())
            elif nested:
                yield from self._value(rest)
            seen += 1
            if seen % _AT_ONCE == 0:
                yield

    def _elements(self, below: _Tree) -> Generator[None]:
        """Go through an array up to its end, or to an element in which something may go."""
        self._at = _end(_TO_BRACKET, self._raw, self._at)
        if self._raw[self._at] == _ARRAY_END:
            self._at += 1
            self._open.pop()
        elif self._raw[self._at] != _QUOTE:
            yield from self._value(below[_ELEMENTS])

    def _value(self, rest: _Tree) -> Generator[None]:
        """Enter an array or object in which something may go; pass any other."""
        start, kind = self._at, self._raw[self._at]
        elements = rest.get(_ELEMENTS, _KEPT)
        if elements if kind == _ARRAY else rest:
            self._open.append((rest, kind))
            self._at += 1
            return
        yield from self._pass_value()
        if kind == _ARRAY and elements is None:
            self.found.append((start + 1, self._at - 1))

    def _pass_value(self) -> Generator[None]:
        """Go behind an array or object."""
        raw, at, depth, seen = self._raw, self._at, 0, 0
        while True:
            if raw[at] in _OPENING:
                depth += 1
            elif raw[at] in _CLOSING:
                depth -= 1
            if raw[at] != _QUOTE:
                at += 1
            if not depth:
                self._at = at
                return
            end = _end(_TO_NESTED, raw, at)
            seen += 1 + (end - at) // _BYTES
            at = end
            if seen >= _AT_ONCE:
                seen = 0
                yield

    def _cut_member(self, start: int) -> None:
        """Have the member go that ends here, and one comma."""
        if self._raw[self._at] == _COMMA:
            self._at += 1
        elif self._raw[start - 1] == _COMMA:  # the last: the comma goes that is left before it
            while self.found and self.found[-1][1] == start:
                start = self.found.pop()[0]
            start -= self._raw[start - 1] == _COMMA
        self.found.append((start, self._at))


def _end(pattern: re.Pattern[bytes], raw: bytes, at: int) -> int:
    found = pattern.match(raw, at)
    assert found is not None  # noqa: S101 - it matches nothing as well
    return found.end()
