"""The events that PBXs are known to send, in the form's order, and where unknown names belong.

The catalogue is data: `event_types/groups.json` lists the groups and the naming rules, each group
has a file of its own, and `shapes.json` holds the schemas that several events share. A new group
or built-in event is a change of these files alone. Administrators add custom event types besides.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any, Final

SERVICE: Final = "service"  # the group of Hookline's own events, which no PBX may send
JsonObject = Mapping[str, Any]  # any JSON: these documents are passed on, not looked into


class EventFormat(StrEnum):
    """What an event's content is: structured, or one text inside the envelope."""

    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of event.

    `licensed`: the licence rule covers it. `example`: a whole envelope without `integrationId`.
    `schema`: JSON Schema (2020-12) of `data`, open to more fields; it refers to
    `Catalogue.shapes` as `#/components/schemas/NAME`. Neither document may be changed.
    """

    name: str
    group: str
    title: str
    description: str
    format: EventFormat
    licensed: bool
    example: JsonObject = field(repr=False, compare=False)
    schema: JsonObject = field(repr=False, compare=False)
    built_in: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """One of the form's boxes: it opens into a list of event types."""

    name: str
    title: str
    description: str
    types: tuple[EventType, ...]


@dataclass(frozen=True, slots=True)
class NamingRule:
    """Names like `pattern` (`*` stands for anything) belong to `group`; the first match decides."""

    pattern: str
    group: str


class Catalogue:
    """Every group and event type that is known, and a rule for names that are not."""

    def __init__(
        self,
        groups: tuple[Group, ...],
        naming: tuple[NamingRule, ...],
        shapes: Mapping[str, JsonObject],
    ) -> None:
        self.shapes = shapes
        self.naming = naming
        self._built_in = groups
        self._hold(groups)

    def take(self, custom: Iterable[EventType]) -> None:
        """Have these event types behind the built-in ones of their groups, and no other ones.

        One whose name has become a built-in type's is left out.
        """
        built_in = {kind.name for group in self._built_in for kind in group.types}
        added: dict[str, list[EventType]] = {}
        for kind in sorted(custom, key=lambda kind: kind.name):
            if kind.name not in built_in:
                added.setdefault(kind.group, []).append(kind)
        self._hold(
            tuple(
                replace(group, types=(*group.types, *added.get(group.name, ())))
                for group in self._built_in
            )
        )

    def _hold(self, groups: tuple[Group, ...]) -> None:
        self.groups = groups
        self._groups = {group.name: group for group in groups}
        self._types = {kind.name: kind for group in groups for kind in group.types}

    @property
    def types(self) -> tuple[EventType, ...]:
        """Every event type, in the form's order."""
        return tuple(self._types.values())

    def find(self, name: str) -> EventType | None:
        """Return the event type of exactly this name."""
        return self._types.get(name)

    def group(self, name: str) -> Group | None:
        """Return the group of exactly this name."""
        return self._groups.get(name)

    def group_of(self, event_type: str) -> str | None:
        """Return the group's name of any event type; None: no rule places it, so nobody gets it.

        A group is not the name's first word: `call:completed` is of `analytics`. Names that are
        not in the catalogue go by the naming rules, so that new firmware loses no event.
        """
        known = self._types.get(event_type)
        if known is not None:
            return known.group
        return next((r.group for r in self.naming if fnmatchcase(event_type, r.pattern)), None)

    def is_reserved(self, event_type: str) -> bool:
        """Whether events of this type are Hookline's own, so that nobody may send one."""
        return self.group_of(event_type) == SERVICE

    def is_licensed(self, event_type: str) -> bool:
        """Whether the licence rule covers this event type."""
        known = self._types.get(event_type)
        return known is not None and known.licensed


def load_catalogue() -> Catalogue:
    """Return a catalogue of the built-in types, which are read once and when first asked for."""
    return Catalogue(*_built_in())


@cache
def _built_in() -> tuple[tuple[Group, ...], tuple[NamingRule, ...], JsonObject]:
    index = _read("groups")
    return (
        tuple(_group(_read(name)) for name in index["groups"]),
        tuple(NamingRule(rule["names"], rule["group"]) for rule in index["naming"]),
        _read("shapes"),
    )


def _read(name: str) -> JsonObject:
    text = (files("hookline.domain") / "event_types" / f"{name}.json").read_text(encoding="utf-8")
    document: JsonObject = json.loads(text)
    return document


def _group(document: JsonObject) -> Group:
    return Group(
        name=document["name"],
        title=document["title"],
        description=document["description"],
        types=tuple(_event_type(document["name"], entry) for entry in document["types"]),
    )


def _event_type(group: str, entry: JsonObject) -> EventType:
    return EventType(
        name=entry["name"],
        group=group,
        title=entry["title"],
        description=entry["description"],
        format=EventFormat(entry["format"]),
        licensed=entry["licensed"],
        example=entry["example"],
        schema=entry["schema"],
    )
