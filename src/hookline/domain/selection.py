"""Which events an integration wants, by group and type; which PBXs the licence rule covers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from itertools import islice
from typing import Final, Literal

from hookline.domain.catalogue import Catalogue, Group
from hookline.errors import FieldProblem, InvalidInput

ALL: Final = "all"
_MOST_PROBLEMS: Final = 20  # told at once: a hostile document must not cost seconds of comparing
_NEARLY: Final = 0.85  # how alike the name of a type in another group must be to be meant
_MOST_QUOTED: Final = 80  # characters of a wrong name that are said back

Choice = Literal["all"] | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen groups, in the form's order, each with `"all"` or its chosen types.

    `"all"` covers the types that the group gains later and the unknown names that the naming
    rules place in it; a list covers what it names.
    """

    choices: tuple[tuple[str, Choice], ...]

    def wants(self, event_type: str, group: str | None) -> bool:
        """Whether an event of this type is chosen; `Catalogue.group_of` tells its group."""
        for name, chosen in self.choices:
            if name == group:
                return chosen == ALL or event_type in chosen
        return False

    def as_document(self) -> dict[str, str | list[str]]:
        """Return the JSON form; what `parse_selection` and `restore_selection` take."""
        return {name: ALL if c == ALL else list(c) for name, c in self.choices}


def parse_selection(raw: object, catalogue: Catalogue) -> Selection:
    """Check and understand an integration's `events`; duplicates in a list collapse.

    Raises InvalidInput with the path of each wrong part (`events.calls`, `events.analytics[1]`),
    the first twenty of them.
    """
    problems = tuple(islice(_problems(raw, catalogue), _MOST_PROBLEMS))
    if problems:
        raise InvalidInput(*problems)
    # _problems found nothing, so `raw` has the shape of a document
    return restore_selection(raw, catalogue)  # type: ignore[arg-type]


def restore_selection(document: Mapping[str, str | list[str]], catalogue: Catalogue) -> Selection:
    """Understand what `as_document` gave, whatever a database did to the order of its keys.

    Nothing is refused: types that the catalogue no longer knows stay chosen.
    """
    order = {group.name: place for place, group in enumerate(catalogue.groups)}
    names = sorted(document, key=lambda name: (order.get(name, len(order)), name))
    return Selection(
        tuple((name, _choice(document[name], catalogue.group(name))) for name in names)
    )


def _choice(chosen: str | list[str], group: Group | None) -> Choice:
    if isinstance(chosen, str):
        return ALL
    known = [kind.name for kind in group.types] if group else []
    place = {name: number for number, name in enumerate(known)}
    return tuple(sorted(set(chosen), key=lambda name: (place.get(name, len(place)), name)))


def _problems(raw: object, catalogue: Catalogue) -> Iterator[FieldProblem]:
    if not isinstance(raw, Mapping):
        yield FieldProblem("events", 'Give an object of groups, such as {"call": "all"}.')
        return
    if not raw:
        yield FieldProblem(
            "events", f"Choose at least one event; the groups are {_listed(_names(catalogue))}."
        )
    for name, chosen in raw.items():
        group = catalogue.group(name) if isinstance(name, str) else None
        if group is None:
            yield FieldProblem(
                f"events.{_quoted(str(name))[1:-1]}", _unknown_group(str(name), catalogue)
            )
        else:
            yield from _wrong_choices(chosen, group, catalogue)


def _wrong_choices(chosen: object, group: Group, catalogue: Catalogue) -> Iterator[FieldProblem]:
    path = f"events.{group.name}"
    if chosen == ALL:
        return
    if not isinstance(chosen, list | tuple):
        allowed = _listed([kind.name for kind in group.types])
        yield FieldProblem(path, f'Give "all" or a list of this group\'s types: {allowed}.')
        return
    if not chosen:
        yield FieldProblem(path, "Name at least one type, or leave the group out.")
    for position, name in enumerate(chosen):
        problem = _wrong_type(name, group, catalogue)
        if problem is not None:
            yield FieldProblem(f"{path}[{position}]", problem)


def _wrong_type(name: object, group: Group, catalogue: Catalogue) -> str | None:
    if not isinstance(name, str):
        return "Give the name of an event type, as a string."
    kind = catalogue.find(name)
    if kind is not None and kind.group == group.name:
        return None
    if kind is not None:
        return f"{name} is of the group {kind.group}, not {group.name}: choose it there."
    allowed = [known.name for known in group.types]
    others = [known.name for each in catalogue.groups for known in each.types]
    nearest = get_close_matches(_cut(name), others, n=1, cutoff=_NEARLY)
    meant = catalogue.find(nearest[0]) if nearest else None
    if meant is not None and meant.group != group.name:
        hint = f"did you mean {meant.name}, of the group {meant.group}?"
    else:
        hint = _suggestion(name, allowed)
    return f"{_quoted(name)} is not a type of the group {group.name}; {hint}"


def _unknown_group(name: str, catalogue: Catalogue) -> str:
    return f"There is no group {_quoted(name)}; {_suggestion(name, _names(catalogue))}"


def _suggestion(name: str, allowed: list[str]) -> str:
    nearest = get_close_matches(_cut(name), allowed, n=1)
    guess = f"did you mean {nearest[0]}? " if nearest else ""
    return (
        f"{guess}Allowed are {_listed(allowed)}." if guess else f"allowed are {_listed(allowed)}."
    )


def _names(catalogue: Catalogue) -> list[str]:
    return [group.name for group in catalogue.groups]


def _listed(names: list[str]) -> str:
    return ", ".join(names)


def _quoted(name: str) -> str:
    return ascii(_cut(name))


def _cut(name: str) -> str:
    return name if len(name) <= _MOST_QUOTED else f"{name[:_MOST_QUOTED]}…"


class Licence(StrEnum):
    """The licences a PBX can have, as the REST API names them."""

    X_BEES = "x-bees"
    COLLABORATION = "collaboration"


@dataclass(frozen=True, slots=True)
class PbxPolicy:
    """What an administrator said about a PBX; `presence_events` matters to Collaboration alone."""

    company: str
    licence: Licence
    presence_events: bool


def allows(pbx: PbxPolicy | None, *, licensed: bool) -> bool:
    """Whether a PBX sends an event type that the licence rule covers (`licensed`) or does not.

    A Collaboration PBX sends covered events only where presence events are switched on for it; an
    x-bees PBX sends them by default, and so does one that was never described (None).
    """
    if not licensed or pbx is None:
        return True
    return pbx.licence is Licence.X_BEES or pbx.presence_events
