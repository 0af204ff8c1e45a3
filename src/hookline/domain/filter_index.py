"""Says which of many filters an event can pass, without asking each of them.

Most filters ask that some field has one of a few strings: a direction, an extension, a queue. Such
fields of an event are read once for all filters, and lead to those that ask for what stands there.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from hookline.domain.filter_matchers import MISSING, Work
from hookline.domain.filters import OR, Filter, flat

_FEWEST: Final = 2  # filters of a field that are worth reading it for

Path = tuple[str, ...]
Strings = tuple[Path, frozenset[str]]
"""A field that has to have one of these strings."""


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
