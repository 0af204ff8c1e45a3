"""Content filters: event patterns, compiled into closures over parsed envelopes, and their index.

The language is that of Amazon EventBridge's event patterns: every key of a pattern must match, a
leaf is an array of alternatives, and of an array in an event any element may match. Evaluating one
is bounded whatever the event holds: see `Work`.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from hookline.domain.filter_matchers import (
    MISSING,
    Literals,
    Problems,
    Test,
    Work,
    of_value,
    parse_matcher,
)
from hookline.errors import FieldProblem, InvalidInput

MOST_BYTES: Final = 4 * 1024  # of the pattern as compact JSON
MOST_LEAVES: Final = 100
DEEPEST: Final = 8  # keys from the envelope down to a leaf
OR: Final = "$or"
_MOST_PROBLEMS: Final = 20  # told at once

Matches = Callable[[object, Work], bool]
_FEWEST: Final = 2  # filters of a field that are worth reading it for
Path = tuple[str, ...]
Strings = tuple[Path, frozenset[str]]
"""A field that has to have one of these strings."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled event pattern."""

    pattern: Mapping[str, object]  # as it was given
    paths: tuple[str, ...]  # of its leaves, as `data.flows.direction`
    _root: "_Node" = field(repr=False)

    def matches(self, envelope: Mapping[str, object], work: Work | None = None) -> bool:
        """Whether an event passes; `work` tells afterwards what that took."""
        return self._root.matches(envelope, work or Work(envelope))

    def refusal(self, envelope: Mapping[str, object]) -> str | None:
        """Return the path of the first field that does not match, None where the event passes."""
        work = Work(envelope)
        if self._root.matches(envelope, work):
            return None
        return self._root.refusal(envelope, Work(envelope))


@dataclass(frozen=True, slots=True)
class _Node:
    """A part of a pattern: an object's keys, one `$or`, or a leaf."""

    path: str
    matches: Matches
    leaves: int
    children: tuple[tuple[str, "_Node"], ...] = ()

    def refusal(self, value: object, work: Work) -> str:
        """Return the path of what says no within this part, which does not match."""
        if type(value) is not dict:
            return self.path or self.children[0][1].path
        for key, child in self.children:
            of_child = value if key == OR else value.get(key, MISSING)
            if not child.matches(of_child, work):
                return child.path if key == OR else child.refusal(of_child, work)
        return self.path


def parse_filter(raw: object, path: str = "filter") -> Filter:
    """Check and compile an event pattern.

    Raises InvalidInput with the path of each wrong part (`filter.data.direction[0].prefix`), the
    first twenty of them.
    """
    problems: list[FieldProblem] = []
    root = _parse(raw, path, problems)
    if root is None or problems:
        raise InvalidInput(*islice(problems, _MOST_PROBLEMS))
    return Filter(raw, tuple(_leaf_paths(root)), root)  # type: ignore[arg-type] # it is an object


def _parse(raw: object, path: str, problems: list[FieldProblem]) -> "_Node | None":
    if type(raw) is not dict:
        problems.append(FieldProblem(path, "Give an event pattern, an object, or null."))
        return None
    try:
        size = len(json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:
        problems.append(FieldProblem(path, "Leave out lone surrogates."))
        return None
    if size > MOST_BYTES:
        advice = (
            f"A filter has at most {MOST_BYTES:,} bytes as compact JSON; this one has {size:,}."
        )
        problems.append(FieldProblem(path, advice))
        return None
    root = _object(raw, (), Problems(path, problems))
    if root.leaves > MOST_LEAVES:
        advice = f"A filter has at most {MOST_LEAVES} leaves; this one has {root.leaves}."
        problems.append(FieldProblem(path, advice))
    return root


def _object(pattern: dict[str, object], keys: tuple[str, ...], problems: Problems) -> _Node:
    """Compile an object of a pattern: all of its keys must match."""
    if not pattern:
        problems.add(keys, "An empty object matches nothing; name a field, or leave it out.")
    children = tuple((key, _member(key, part, keys, problems)) for key, part in pattern.items())
    return _node(keys, children)


def _member(key: str, part: object, keys: tuple[str, ...], problems: Problems) -> _Node:
    below = (*keys, key)
    if len(below) > DEEPEST:
        problems.add(below, f"A filter's fields are at most {DEEPEST} levels deep.")
        return _nothing(below)
    if key == OR:
        return _either(part, keys, problems)
    if type(part) is dict:
        return _object(part, below, problems)
    if type(part) is list:
        matches = parse_leaf(part, below, problems)
        return _Node(".".join(below), matches, 1) if matches else _nothing(below)
    problems.add(
        below, 'Give an array of alternatives, such as ["INBOUND"], or an object of fields.'
    )
    return _nothing(below)


def _either(part: object, keys: tuple[str, ...], problems: Problems) -> _Node:
    """Compile `$or`: one of several patterns for the object that it stands in must match."""
    below = (*keys, OR)
    if type(part) is not list or not part or any(type(each) is not dict for each in part):
        problems.add(below, "Give an array of patterns, each of them an object.")
        return _nothing(below)
    nodes = []
    for place, each in enumerate(part):
        inner = problems.at((*keys, f"{OR}[{place}]"), keys)
        nodes.append(_object(each, keys, inner))
    parts = tuple(node.matches for node in nodes)

    def matches(value: object, work: Work) -> bool:
        return any(part(value, work) for part in parts)

    leaves = sum(node.leaves for node in nodes)
    named = tuple((str(place), node) for place, node in enumerate(nodes))
    return _Node(".".join(below), matches, leaves, named)


def _node(keys: tuple[str, ...], children: tuple[tuple[str, _Node], ...]) -> _Node:
    leaves = sum(child.leaves for _, child in children)
    of_object, of_nothing = _all_of(children)

    def matches(value: object, work: Work) -> bool:
        if type(value) is not list:
            return of_object(value, work) if type(value) is dict else of_nothing(value, work)
        objects = 0
        for element in flat(value, work, leaves):
            if type(element) is dict:
                objects += 1
                if of_object(element, work):
                    return True
        return not objects and of_nothing(value, work) and work.left >= 0

    return _Node(".".join(keys), matches, leaves, children)


def _all_of(children: tuple[tuple[str, _Node], ...]) -> tuple[Matches, Matches]:
    """Compile that all fields match, for an object, and for a value that has no fields."""
    pairs = tuple((key, child.matches) for key, child in children if key != OR)
    either = next((child.matches for key, child in children if key == OR), None)

    def of_object(value: object, work: Work) -> bool:
        for key, matches in pairs:
            if not matches(value.get(key, MISSING), work):  # type: ignore[attr-defined] # a dict
                return False
        return either is None or either(value, work)

    def of_nothing(_value: object, work: Work) -> bool:
        for _, matches in pairs:
            if not matches(MISSING, work):
                return False
        return either is None or either(MISSING, work)

    return of_object, of_nothing


def _nothing(keys: tuple[str, ...]) -> _Node:
    """Return a part for what is refused anyway."""
    return _Node(".".join(keys), lambda _value, _work: False, 1)


def _leaf_paths(node: _Node) -> Iterator[str]:
    if not node.children:
        yield node.path
    for _, child in node.children:
        yield from _leaf_paths(child)


def parse_leaf(
    alternatives: list[object], keys: tuple[str, ...], problems: Problems
) -> Test | None:
    """Compile an array of alternatives; None, and a problem noted, where one is wrong."""
    if not alternatives:
        problems.add(keys, "Give at least one alternative; an empty array matches nothing.")
        return None
    literals = Literals()
    tests: list[Test] = []
    sound, present, absent = True, False, False
    for place, alternative in enumerate(alternatives):
        at = (*keys[:-1], f"{keys[-1]}[{place}]")
        if type(alternative) is not dict:
            sound &= literals.take(alternative, at, problems)
        elif list(alternative) == ["exists"] and type(alternative["exists"]) is bool:
            present |= alternative["exists"]
            absent |= not alternative["exists"]
        else:
            test = parse_matcher(alternative, at, problems)
            sound &= test is not None
            tests += [test] if test else []
    if not sound:
        return None
    matches = of_value(literals, tuple(tests), present=present)
    return _of_field(matches, 1 + len(tests), keys if absent else None)


def flat(values: list[object], work: Work, cost: int) -> Iterator[object]:
    """Give the elements of an array and of arrays within it, as long as work is left."""
    for value in values:
        if not work.spend(cost):
            return
        if type(value) is list:
            yield from flat(value, work, cost)
        else:
            yield value


def _of_field(of_value: Test, cost: int, absent: tuple[str, ...] | None) -> Test:
    """Compile a leaf; `absent` is the path of a field that may be missing, else None."""

    def matches(value: object, work: Work) -> bool:
        kind = type(value)
        if kind is not list and kind is not dict and value is not MISSING:
            return of_value(value, work)
        if kind is list:
            for element in flat(value, work, cost):  # type: ignore[arg-type] # it is a list
                if type(element) is not dict and of_value(element, work):
                    return True
        if absent is None or _is_there(work.envelope, absent, work):
            return False
        return work.left >= 0

    return matches


def _is_there(value: object, keys: Sequence[str], work: Work) -> bool:
    """Whether the event has a value at a path, in any element of the arrays on the way."""
    if type(value) is list:
        return any(_is_there(element, keys, work) for element in flat(value, work, 1))
    if not keys:
        return type(value) is not dict and value is not MISSING
    return type(value) is dict and _is_there(value.get(keys[0], MISSING), keys[1:], work)


class FilterIndex:
    """Tells filters apart by strings that they require; by their places, None being no filter."""

    def __init__(self, filters: Sequence[Filter | None]) -> None:
        required = [list(_required(each.pattern)) if each else [] for each in filters]
        known: defaultdict[Path, set[str]] = defaultdict(set)
        for fields in required:
            for path, strings in fields:
                known[path] |= strings
        by_path: defaultdict[Path, dict[int, frozenset[str]]] = defaultdict(dict)
        for place, fields in enumerate(required):
            if fields:  # the one by which a filter differs most from the others
                path, strings = max(fields, key=lambda each: len(known[each[0]]) / len(each[1]))
                by_path[path][place] = strings
        indexed = {path: asked for path, asked in by_path.items() if len(asked) >= _FEWEST}
        found = {place for asked in indexed.values() for place in asked}
        self._always = frozenset(range(len(filters))) - found
        self._by_path = [(path, _by_string(asked)) for path, asked in indexed.items()]

    def possible(self, envelope: Mapping[str, object]) -> set[int] | None:
        """Return the places of all filters that may pass; None: any may, the event is too large."""
        work = Work(envelope)
        places = set(self._always)
        for path, by_string in self._by_path:
            for value in _values(envelope, path, work):
                if type(value) is str and (asking := by_string.get(value)):
                    work.spend(len(asking))
                    places.update(asking)
        return places if work.left >= 0 else None


def _required(pattern: Mapping[str, object], above: Path = ()) -> Iterator[Strings]:
    """Give the fields of a sound pattern whose alternatives are strings alone."""
    for key, part in pattern.items():
        if key == OR:
            continue
        if type(part) is dict:
            yield from _required(part, (*above, key))
        elif type(part) is list and all(type(each) is str for each in part):
            yield (*above, key), frozenset(part)


def _by_string(asked: Mapping[int, frozenset[str]]) -> dict[str, tuple[int, ...]]:
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, strings in asked.items():
        for string in strings:
            places[string].append(place)
    return {string: tuple(found) for string, found in places.items()}


def _values(value: object, path: Path, work: Work) -> Iterator[object]:
    """Give what stands at a path, in any element of the arrays on the way, while work is left."""
    for at, key in enumerate(path):
        if type(value) is list:
            for element in flat(value, work, 1):
                if type(element) is dict:
                    yield from _values(element, path[at:], work)
            return
        if type(value) is not dict:
            return
        value = value.get(key, MISSING)
    if type(value) is list:
        yield from flat(value, work, 1)
    else:
        yield value
