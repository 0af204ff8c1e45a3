"""Paths into events: what `omit` may name, and warnings of paths that no example has."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Final

from hookline.domain.catalogue import EventType
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
