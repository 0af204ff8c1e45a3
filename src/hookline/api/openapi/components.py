"""Schemas set right: shapes that client generators take, and answers that may gain fields."""

import json
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]  # Any: a JSON document

_PREFIX = "#/components/schemas/"


def set_components_right(document: Schema) -> None:
    """Set every schema of the document right, in place."""
    document.update(json.loads(json.dumps(document), parse_float=_whole))
    _join_nullable(document)
    schemas = document["components"]["schemas"]
    asked = _asked(document)
    for name, schema in schemas.items():
        _drop_titles(schema)
        _say_defaults(schema)
        _release_nullable_references(schema)
        if name not in asked and schema.get("additionalProperties") is False:
            del schema["additionalProperties"]  # an answer may gain fields
    document["components"]["schemas"] = dict(sorted(schemas.items()))


def _whole(text: str) -> float:
    """Read a bound that FastAPI printed as 1000.0 as what it is, a whole number."""
    number = float(text)
    return int(number) if number.is_integer() else number


def _asked(document: Schema) -> set[str]:
    """Return the names of the schemas that requests are made of."""
    schemas = document["components"]["schemas"]
    bodies = [
        operation["requestBody"]
        for path in document["paths"].values()
        for operation in path.values()
        if "requestBody" in operation
    ]
    found: set[str] = set()
    waiting = [name for body in bodies for name in _references(body)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_references(schemas[name]))
    return found


def _references(node: object) -> Iterator[str]:
    match node:
        case {"$ref": str(reference)} if reference.startswith(_PREFIX):
            yield reference.removeprefix(_PREFIX)
        case dict():
            for value in node.values():
                yield from _references(value)
        case list():
            for value in node:
                yield from _references(value)


def _join_nullable(node: object) -> None:
    """Say `type: [string, null]` of what is written in place; only references need a union."""
    if isinstance(node, dict):
        match node.get("anyOf"):
            case [{"type": str(kind)} as option, {"type": "null"}]:
                del node["anyOf"]
                node.update({**option, **node, "type": [kind, "null"]})
    if isinstance(node, dict | list):
        for inner in node.values() if isinstance(node, dict) else node:
            _join_nullable(inner)


def _say_defaults(schema: Schema) -> None:
    """Say defaults in words: for `default`, openapi-typescript makes a request's field required."""
    for described in schema.get("properties", {}).values():
        if "default" in described:
            default = json.dumps(described.pop("default"))
            described["description"] = f"{described.get('description', '')} Default: `{default}`."


def _release_nullable_references(schema: Schema) -> None:
    """Take references that may be null out of `required`: Java's client refuses null there."""
    if "required" in schema:
        properties = schema["properties"]
        schema["required"] = [
            name for name in schema["required"] if {"type": "null"} not in _union(properties[name])
        ]


def _union(schema: Schema) -> list[Schema]:
    options: list[Schema] = schema.get("anyOf", [])
    return options


def _drop_titles(schema: Schema) -> None:
    """Drop titles that repeat a name; those that tell a union's options apart stay."""
    schema.pop("title", None)
    for described in schema.get("properties", {}).values():
        described.pop("title", None)
        if described.get("default", ...) is None:
            del described["default"]
