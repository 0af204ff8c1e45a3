"""What an integration's copies leave out: paths into the envelope, and events without them."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from msgspec.structs import replace

from hookline.domain.documents import canonical, load
from hookline.domain.events import Event
from hookline.errors import FieldProblem, InvalidInput

MOST_PATHS: Final = 50
LONGEST_PATH: Final = 200  # characters
ELEMENTS: Final = "*"
_ENVELOPE: Final = frozenset({"id", "pbx", "company", "time", "type", "integrationId", "data"})
_REMEMBERED: Final = 1_024  # lists of paths that are kept compiled
_UNSTORABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MOST_PROBLEMS: Final = 20  # told at once

Tree = dict[str, Any]  # Any: a Tree, or None where a path ends


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


def without(event: Event, paths: Sequence[str]) -> Event:
    """Return an event without what these paths name, printed in JavaScript's form.

    A path that names nothing changes nothing. Work is linear in the event, however many paths.
    """
    head = load(event.payload[: event.splice] + b"}", whole=event.payload, offset=0)
    tail = load(b"{" + event.payload[event.splice + 1 :], whole=event.payload, offset=0)
    tree = _tree(tuple(paths))
    for part in (head, tail):
        _remove(part, tree)
    start = canonical(head)[:-1]
    payload = b",".join((start, canonical(tail)[1:]))
    return replace(event, payload=payload, splice=len(start), hashed=None)


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


@lru_cache(maxsize=_REMEMBERED)
def _tree(paths: tuple[str, ...]) -> Tree:
    """Return the paths by their names; what ends at a name covers all below it."""
    root: Tree = {}
    for path in paths:
        *above, last = path.split(".")
        node: Tree | None = root
        for name in above:
            if node is not None:
                node = node.setdefault(name, {})
        if node is not None:
            node[last] = None
    return root


def _remove(value: object, tree: Tree) -> None:
    pending: list[tuple[object, Tree]] = [(value, tree)]
    while pending:
        part, below = pending.pop()
        if type(part) is list:
            if ELEMENTS not in below:
                continue
            rest = below[ELEMENTS]
            if rest is None:
                part.clear()
            else:
                pending += [(each, rest) for each in part if type(each) in {list, dict}]
        elif type(part) is dict:
            few, many = (below, part) if len(below) <= len(part) else (part, below)
            for name in [name for name in few if name in many]:
                if below[name] is None:
                    del part[name]
                else:
                    pending.append((part[name], below[name]))
