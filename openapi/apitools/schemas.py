"""Two schemas in, the changes between them out: whoever was right before must stay right.

A caller that sent a body that fitted, a reader that expects what it was promised: so what is asked
may only relax, and what is answered may only get stricter. Lists of values that are answered may
grow all the same: the document says so.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from apitools.changes import Change, added, broken, relaxed

Schema = dict[str, Any]  # Any: a JSON Schema

_UPPER: Final = ("maximum", "maxLength", "maxItems", "maxProperties", "exclusiveMaximum")
_LOWER: Final = ("minimum", "minLength", "minItems", "minProperties", "exclusiveMinimum")
_TEXTUAL: Final = ("format", "pattern")


class Direction(Enum):
    """Who has to fit the schema."""

    ASKED = "asked"  # callers send it
    ANSWERED = "answered"  # Hookline sends it, to callers or to receivers


@dataclass(frozen=True, slots=True)
class Schemas:
    """The named schemas of both documents."""

    old: Schema
    new: Schema


def compare_schemas(
    place: str, old: Schema, new: Schema, direction: Direction, schemas: Schemas
) -> Iterator[Change]:
    """Yield the changes from one schema to another, and inside of them."""
    yield from _Comparison(direction, schemas).compare(place, old, new)


class _Comparison:
    """One walk down two schemas; each pair of named ones is walked once."""

    def __init__(self, direction: Direction, schemas: Schemas) -> None:
        self._asked = direction is Direction.ASKED
        self._schemas = schemas
        self._seen: set[tuple[str, str]] = set()

    def compare(self, place: str, old: Schema, new: Schema) -> Iterator[Change]:
        names = (old.get("$ref", ""), new.get("$ref", ""))
        if any(names):
            if names in self._seen:
                return
            self._seen.add(names)
        if all(names) and names[0] != names[1]:
            was, now = (name.rpartition("/")[2] for name in names)
            yield broken(f"schema `{was}`", f"generated clients call it `{now}`")
        old, new = _resolved(old, self._schemas.old), _resolved(new, self._schemas.new)
        options = _options(old, self._schemas.old), _options(new, self._schemas.new)
        if any(len(each) > 1 for each in options):
            yield from self._unions(place, *options)
            return
        [old], [new] = options
        yield from self._types(place, old, new)
        yield from self._values(place, old, new)
        yield from self._bounds(place, old, new)
        yield from self._fields(place, old, new)
        for inner, shown in (("items", "[]"), ("additionalProperties", "{}")):
            before, after = old.get(inner), new.get(inner)
            if isinstance(before, dict) and isinstance(after, dict):
                yield from self.compare(f"{place}{shown}", before, after)
        if self._asked and _closed(new) and not _closed(old):
            yield broken(place, "takes no further fields any more")

    def _unions(self, place: str, old: list[Schema], new: list[Schema]) -> Iterator[Change]:
        before, after = _labelled(old), _labelled(new)
        for label, option in before.items():
            if label in after:
                yield from self.compare(f"{place} ({label})", option, after[label])
            else:
                yield (broken if self._asked else relaxed)(place, f"is never {label} any more")
        for label in after.keys() - before.keys():
            yield (added if self._asked else broken)(place, f"may be {label}")

    def _types(self, place: str, old: Schema, new: Schema) -> Iterator[Change]:
        before, after = _types(old), _types(new)
        lost, gained = before - after, after - before
        if lost == {"integer"} and gained == {"number"}:
            yield (relaxed if self._asked else broken)(place, "is any number, not only a whole one")
        elif before and after and (lost or gained):
            safe = not lost if self._asked else not gained
            what = f"is {_either(after)}, no longer {_either(before)}"
            yield (relaxed if safe else broken)(place, what)

    def _values(self, place: str, old: Schema, new: Schema) -> Iterator[Change]:
        before, after = _listed(old), _listed(new)
        if before is None and after is None:
            return
        if before is None or after is None:
            safe = (after is None) is self._asked
            what = "takes any value" if after is None else "takes certain values only"
            yield (relaxed if safe else broken)(place, what)
            return
        for value in (each for each in before if each not in after):
            yield (broken if self._asked else relaxed)(place, f"is never `{value}` any more")
        for value in (each for each in after if each not in before):
            yield added(place, f"may be `{value}`")

    def _bounds(self, place: str, old: Schema, new: Schema) -> Iterator[Change]:
        for bound in (*_UPPER, *_LOWER):
            before, after = old.get(bound), new.get(bound)
            if before == after:
                continue
            wider = after is None or (
                before is not None and (after > before if bound in _UPPER else after < before)
            )
            what = f"`{bound}` is {_said(after)}, and was {_said(before)}"
            yield (relaxed if wider is self._asked else broken)(place, what)
        for rule in _TEXTUAL:
            before, after = old.get(rule), new.get(rule)
            if before != after:
                safe = (after is None) if self._asked else (before is None)
                what = f"`{rule}` is {_said(after)}, and was {_said(before)}"
                yield (relaxed if safe else broken)(place, what)

    def _fields(self, place: str, old: Schema, new: Schema) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed_before, needed_after = set(old.get("required", ())), set(new.get("required", ()))
        for name, described in before.items():
            inner = f"{place} · `{name}`"
            if name not in after:
                yield broken(inner, "is gone")
                continue
            if self._asked and name in needed_after - needed_before:
                yield broken(inner, "is required now")
            if not self._asked and name in needed_before - needed_after:
                yield broken(inner, "may be left out now")
            yield from self.compare(inner, described, after[name])
        for name in after:
            if name not in before:
                demanded = self._asked and name in needed_after
                yield (broken if demanded else added)(f"{place} · `{name}`", "is new")


def _resolved(schema: Schema, document: Schema) -> Schema:
    """Follow references to a named schema, which may be a reference itself."""
    while "$ref" in schema:
        found: Schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        schema = found
    return schema


def _options(schema: Schema, document: Schema) -> list[Schema]:
    """Return what a schema is either of: itself, unless it is a union or of several types."""
    schema = _resolved(schema, document)
    if union := schema.get("oneOf") or schema.get("anyOf"):
        return [inner for option in union for inner in _options(option, document)]
    if isinstance(schema.get("type"), list):
        return [_only(kind, schema) for kind in schema["type"]]
    return [schema]


def _only(kind: str, schema: Schema) -> Schema:
    return {"type": "null"} if kind == "null" else {**schema, "type": kind}


def _labelled(options: list[Schema]) -> dict[str, Schema]:
    """Return options by their labels; lists of values of one type are one option."""
    found: dict[str, Schema] = {}
    for option in options:
        label = _label(option)
        if "enum" in option and "enum" in found.get(label, {}):
            found[label]["enum"] += option["enum"]
        else:
            found[label] = copy.deepcopy(option)
    return found


def _label(option: Schema) -> str:
    """Name an option by what tells it apart: a constant, of a field or its own, or its type."""
    for described in (option, *option.get("properties", {}).values()):
        if "const" in described:
            return f"`{described['const']}`"
    return str(option.get("type", "anything"))


def _types(schema: Schema) -> set[str]:
    kind = schema.get("type", [])
    return {kind} if isinstance(kind, str) else set(kind)


def _listed(schema: Schema) -> list[object] | None:
    if "const" in schema:
        return [schema["const"]]
    listed: list[object] | None = schema.get("enum")
    return listed


def _closed(schema: Schema) -> bool:
    return schema.get("additionalProperties") is False


def _either(kinds: set[str]) -> str:
    return " or ".join(sorted(kinds))


def _said(value: object) -> str:
    return "none" if value is None else f"`{value}`"
