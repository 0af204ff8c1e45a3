"""Rules that keep the document usable for the client generators of docs/clients.md.

Each rule names a generator that fails, or makes code that does not compile, where it is broken.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Node = dict[str, Any]  # Any: a part of a JSON document
Found = tuple[str, str]  # a place in the document, and what is wrong there

_PREFIX: Final = "#/components/schemas/"
_METHODS: Final = ("get", "put", "post", "patch", "delete", "head", "options")
_MOST_OF_32_BITS: Final = 2**31 - 1
_NULL: Final = {"type": "null"}
_REQUEST_ENDINGS: Final = ("Create", "Patch", "Put", "Request")
_MADE_BY_GENERATORS: Final = ("Response", "Params", "Body")
_TAKEN: Final = frozenset(  # classes of the generated clients and of their languages
    [
        "ApiClient",
        "ApiError",
        "ApiException",
        "ApiResponse",
        "Client",
        "Configuration",
        "Date",
        "Error",
        "Exception",
        "File",
        "Integer",
        "List",
        "Map",
        "Number",
        "Object",
        "Pair",
        "Response",
        "Set",
        "String",
        "UUID",
    ]
)
_UNKNOWN_TO_GENERATORS: Final = (
    *("if", "then", "else", "not", "prefixItems", "patternProperties", "dependentSchemas"),
    *("dependentRequired", "unevaluatedProperties", "unevaluatedItems", "contains", "$defs"),
)


def faults_of(document: Node) -> list[str]:
    """Return a sentence for each place that a client generator cannot take."""
    schemas: Node = document["components"]["schemas"]
    found = [*_operations(document), *_names(schemas)]
    for name, schema in schemas.items():
        found += [f"{place}: {what}" for place, what in _shape(name, schema, schemas)]
    return found


def _operations(document: Node) -> Iterator[str]:
    operations = [
        operation
        for path in (*document["paths"].values(), *document.get("webhooks", {}).values())
        for method, operation in path.items()
        if method in _METHODS
    ]
    ids = Counter(operation["operationId"].lower() for operation in operations)
    for operation in operations:
        name = operation["operationId"]
        if ids[name.lower()] > 1 or not re.fullmatch("[a-z][A-Za-z0-9]*", name):
            yield f"{name}: give the operation an id of its own in camelCase; clients name it so"
    for path in document["paths"].values():
        for operation in path.values():
            yield from _request(operation)


def _request(operation: Node) -> Iterator[str]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        name = content["schema"].get("$ref", "").removeprefix(_PREFIX)
        if not name.endswith(_REQUEST_ENDINGS):
            yield (
                f"{operation['operationId']}: name the body's schema, {name or 'inline so far'}, "
                f"with one of the endings {', '.join(_REQUEST_ENDINGS)}"
            )


def _names(schemas: Node) -> Iterator[str]:
    same = Counter(_as_compared(name) for name in schemas)
    for name in schemas:
        if not re.fullmatch("[A-Z][A-Za-z0-9]*", name):
            yield f"{name}: name schemas in PascalCase"
        if same[_as_compared(name)] > 1:
            yield f"{name}: another schema has this name in a language that ignores case"
        if name in _TAKEN:
            yield f"{name}: generated clients have a class of this name already"
        if name.startswith("New") and name.removeprefix("New") in schemas:
            yield f"{name}: Go clients name the constructor of {name[3:]} so; end it with Create"
        if name.startswith("Nullable"):
            yield f"{name}: Go clients make a Nullable… for every schema"
        if name.endswith(_MADE_BY_GENERATORS):
            yield f"{name}: generators make this ending themselves; use another"


def _as_compared(name: str) -> str:
    return name.replace("_", "").lower()


def _shape(place: str, node: Node, schemas: Node, *, named: bool = True) -> Iterator[Found]:
    """Yield what is wrong with a schema and inside of it; a named one is a component itself."""
    yield from _keywords(place, node)
    yield from _values(place, node, named=named)
    yield from _union(place, node, schemas, named=named)
    if not named and node.get("properties"):
        yield place, "give the inner object a name, or each generator makes one up"
    for field, described in node.get("properties", {}).items():
        inner = f"{place}.{field}"
        if "default" in described:
            yield inner, "say the default in words: openapi-typescript makes the field required"
        if {"readOnly", "writeOnly"} & described.keys():
            yield (
                inner,
                "use a schema for requests and one for answers: oapi-codegen makes it optional",
            )
        if field in node.get("required", ()) and _NULL in described.get("anyOf", ()):
            yield inner, "leave the field out of `required`: Java's client refuses null there"
        yield from _shape(inner, described, schemas, named=False)
    for keyword, shown in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(node.get(keyword), dict):
            yield from _shape(f"{place}{shown}", node[keyword], schemas, named=False)


def _keywords(place: str, node: Node) -> Iterator[Found]:
    for keyword in _UNKNOWN_TO_GENERATORS:
        if keyword in node:
            yield place, f"client generators do not know `{keyword}`"
    if "allOf" in node:
        yield place, "write the fields out: generators merge `allOf` in different ways"
    if node.get("type") == "integer" and "format" not in node and _is_long(node):
        yield place, "add `format: int64`, or Go and Java keep 32 bits of it"


def _is_long(node: Node) -> bool:
    return (
        node.get("maximum", 0) > _MOST_OF_32_BITS or "epoch" in node.get("description", "").lower()
    )


def _values(place: str, node: Node, *, named: bool) -> Iterator[Found]:
    values = node.get("enum")
    if values is None:
        return
    if not named:
        yield place, "give the list of values a name, or each generator makes one up"
    if not all(isinstance(value, str) for value in values) or node.get("type") != "string":
        yield place, "list texts alone; where it may be null, say so where it is referred to"
    if len({re.sub("[^a-z0-9]", "", str(value).lower()) for value in values}) < len(values):
        yield place, "two values have the same name in generated clients"


def _union(place: str, node: Node, schemas: Node, *, named: bool) -> Iterator[Found]:
    union = node.get("oneOf") or node.get("anyOf")
    if union is None:
        return
    options = [option for option in union if option != _NULL]
    references = [each["$ref"] for each in options if "$ref" in each]
    if len(options) == 1:
        if not references:
            yield place, "write `type: [string, null]`; only a reference needs a union for null"
        return
    if not named or len(options) < len(union):
        yield place, "give the union a name, and say null where it is referred to"
    if not references:
        kinds = Counter(str(option.get("type")) for option in options)
        if max(kinds.values()) > 1:
            yield place, "options in place must differ in their type"
        return
    mapped = node.get("discriminator", {}).get("mapping", {})
    if {*mapped.values()} != {*references} or len(references) < len(options):
        yield place, "refer to every option, and map each in `discriminator`"
    else:
        yield from _mapping(place, mapped, node["discriminator"]["propertyName"], schemas)


def _mapping(place: str, mapped: Mapping[str, str], field: str, schemas: Node) -> Iterator[Found]:
    for value, reference in mapped.items():
        name = reference.removeprefix(_PREFIX)
        if value not in _values_of(schemas[name]["properties"].get(field, {}), schemas):
            yield place, f"{name} needs `{field}` with the value {value}"
        if field not in schemas[name].get("required", ()):
            yield place, f"{name} must require `{field}`"


def _values_of(described: Node, schemas: Node) -> Sequence[str]:
    """Return what a field is, where that is a constant or one of a named list."""
    if "const" in described:
        return [described["const"]]
    values: Sequence[str] = schemas.get(described.get("$ref", "").removeprefix(_PREFIX), {}).get(
        "enum", ()
    )
    return values
