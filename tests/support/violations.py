"""Every way in which a request can break its schema, made from the OpenAPI document itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from factories import Json

_OF_TYPE: dict[str, object] = {
    "null": None,
    "boolean": True,
    "integer": 7,
    "number": 7.5,
    "string": "text",
    "array": [7],
    "object": {"unlikely": 7},
}
_INTEGERS = (
    "1_0",
    "１０",
    " 10",
    "10 ",
    "+10",
    "1e1",
    "10.0",
    "010",
    "0x10",
    "many",
    "",
    "9" * 400,
)
_BOOLEANS = ("1", "0", "yes", "on", "True", "TRUE", " true", "")
_TIMESTAMPS = (
    "yesterday",
    "1721836787",
    "1721836787753",
    "20260131T120000Z",
    "2026-01-31",
    "2026-W05-6T12:00:00Z",
    "2026-01-31 12:00:00Z",
    "2026-01-31T12:00:00+02:00",  # its + is a space in a query
    "2026-01-31T12:00Z",
    "2026-02-30T12:00:00Z",
    "２０２６-01-31T12:00:00Z",
)


@dataclass(frozen=True, slots=True)
class Violation:
    """A value that breaks one constraint, and the path that the answer has to name."""

    what: str
    value: Any  # a JSON value, of any type
    path: str


class Schemas:
    """The schemas of one OpenAPI document."""

    def __init__(self, document: Json) -> None:
        self._components = document["components"]["schemas"]

    def resolved(self, schema: Json) -> Json:
        """Follow references."""
        while "$ref" in schema:
            schema = schema | self._components[schema["$ref"].rpartition("/")[2]]
            del schema["$ref"]
        return schema

    def sample(self, schema: Json) -> object:
        """Return a value that the schema takes."""
        schema = self.resolved(schema)
        for known in ("examples", "enum"):
            if known in schema:
                return schema[known][0]
        if "const" in schema:
            return schema["const"]
        if options := schema.get("oneOf", schema.get("anyOf")):
            return self.sample(options[0])
        if schema.get("type") == "object":
            return {name: self.sample(each) for name, each in schema.get("properties", {}).items()}
        if schema.get("type") == "array":
            return [self.sample(schema["items"])]
        return schema.get("default", _OF_TYPE[schema["type"]])

    def violations(self, schema: Json, value: object, path: str = "") -> Iterator[Violation]:
        """Yield what breaks the schema at this value or below it, which itself fits."""
        schema = self.resolved(schema)
        if options := schema.get("oneOf", schema.get("anyOf")):
            yield from self._of_union(schema, options, value, path)
            return
        yield from _of_type(_types(schema), path)
        yield from _of_bounds(schema, value, path)
        if isinstance(value, dict):
            yield from self._of_object(schema, value, path)
        if isinstance(value, list):
            for each in self.violations(schema["items"], value[0], f"{path}[0]"):
                yield Violation(each.what, [each.value, *value[1:]], each.path)

    def _of_union(
        self, schema: Json, options: list[Json], value: object, path: str
    ) -> Iterator[Violation]:
        """Break the option that the value is of; another type is wrong where no option has it."""
        yield from _of_type(set().union(*(_types(self.resolved(each)) for each in options)), path)
        tag = schema.get("discriminator", {}).get("propertyName")
        if tag is not None and isinstance(value, dict):
            for other in ("EMAIL", "webhook", "", None, 7, ["WEBHOOK"]):
                yield Violation(f"tag {other!r}", value | {tag: other}, f"{path}.{tag}")
            rest = {name: each for name, each in value.items() if name != tag}
            yield Violation("no tag", rest, f"{path}.{tag}")
        for option in options:
            if self._takes(option, value, tag):
                for each in self.violations(option, value, path):
                    if each.what.startswith("type ") and each.path == path:
                        continue  # another option may have that type
                    if tag is None or each.path != f"{path}.{tag}":
                        yield each

    def _takes(self, option: Json, value: object, tag: str | None) -> bool:
        option = self.resolved(option)
        if tag is not None and isinstance(value, dict):
            return bool(self.resolved(option["properties"][tag]).get("const") == value[tag])
        return any(_is_of_type(value, kind) for kind in _types(option))

    def _of_object(self, schema: Json, value: Json, path: str) -> Iterator[Violation]:
        start = f"{path}." if path else ""
        properties: Json = schema.get("properties", {})
        for name in schema.get("required", ()):
            rest = {other: each for other, each in value.items() if other != name}
            yield Violation("missing", rest, f"{start}{name}")
        if schema.get("additionalProperties") is False:
            for name in ("unlikely", "Name", "$ref", *(snake(each) for each in properties)):
                if name not in properties:
                    yield Violation("unknown field", value | {name: 7}, f"{start}{name}")
        for name, described in properties.items():
            inside = value.get(name)
            whole = self.sample(described) if inside is None else inside
            for each in self.violations(described, whole, f"{start}{name}"):
                yield Violation(each.what, value | {name: each.value}, each.path)
        if isinstance(any_name := schema.get("additionalProperties"), dict):
            for name, inside in list(value.items())[:1]:
                for each in self.violations(any_name, inside, f"{start}{name}"):
                    yield Violation(each.what, value | {name: each.value}, each.path)


def wrong_texts(schemas: Schemas, schema: Json) -> Iterator[str]:
    """Yield texts that a parameter of this schema does not take."""
    schema = schemas.resolved(schema)
    if schema.get("type") == "array":
        yield from wrong_texts(schemas, schema["items"])
    elif schema.get("type") == "integer":
        yield from (*_INTEGERS, str(schema["minimum"] - 1), str(schema["maximum"] + 1))
    elif schema.get("type") == "boolean":
        yield from _BOOLEANS
    elif schema.get("format") == "date-time":
        yield from _TIMESTAMPS
    elif "enum" in schema:
        yield from ("", "unlikely", schema["enum"][0].swapcase(), f" {schema['enum'][0]}")
    else:
        yield from ("", "x" * (schema["maxLength"] + 1), "a\x00b", "a\nb")


def snake(name: str) -> str:
    """Return a camelCase name in snake_case."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _types(schema: Json) -> set[str]:
    """Return the types that a schema takes; none: it does not say."""
    told: str | list[str] = schema.get("type", [])
    return {told} if isinstance(told, str) else set(told)


def _is_of_type(value: object, kind: str) -> bool:
    of_kind = type(_OF_TYPE[kind])
    return type(value) is of_kind or (kind == "number" and type(value) is int)


def _of_type(allowed: set[str], path: str) -> Iterator[Violation]:
    if not allowed:
        return
    for kind, value in _OF_TYPE.items():
        if kind in allowed or (kind == "integer" and "number" in allowed):
            continue
        yield Violation(f"type {kind}", value, path)
    if "integer" in allowed or "number" in allowed:
        yield from (Violation("type text", text, path) for text in ("16", "1e1", ""))
    if "integer" in allowed:
        yield Violation("type fraction", 16.0, path)


def _of_bounds(schema: Json, value: object, path: str) -> Iterator[Violation]:
    wrong: dict[str, object] = {}
    if "minimum" in schema:
        wrong["minimum"] = schema["minimum"] - (1 if "integer" in _types(schema) else 0.01)
    if "maximum" in schema:
        wrong["maximum"] = schema["maximum"] + 1
        wrong["far above"] = 10**400
    if schema.get("minLength"):
        wrong["minLength"] = "x" * (schema["minLength"] - 1)
    if "maxLength" in schema and isinstance(value, str):
        wrong["maxLength"] = value + "x" * (schema["maxLength"] + 1 - len(value))
        wrong["a NUL"] = f"{value}\x00"
        wrong["a lone surrogate"] = f"{value}\ud800"
    if "pattern" in schema and isinstance(value, str):
        wrong["pattern"] = f"!{value[1:]}"
    if "enum" in schema or "const" in schema:
        wrong["enum"] = "unlikely"
    if schema.get("minItems"):
        wrong["minItems"] = []
    if schema.get("minProperties"):
        wrong["minProperties"] = {}
    if "maxProperties" in schema:
        wrong["maxProperties"] = {f"X-{n}": "1" for n in range(schema["maxProperties"] + 1)}
    yield from (Violation(what, broken, path) for what, broken in wrong.items())
