"""The API's committed document as tests look at it; tests/test_app.py holds it to the code."""

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from apitools.places import DOCUMENT as COMMITTED

Node = dict[str, Any]  # Any: a part of a JSON document

DOCUMENT: Node = json.loads(COMMITTED.read_text(encoding="utf-8"))
SCHEMAS: Node = DOCUMENT["components"]["schemas"]
OPERATIONS: dict[str, Node] = {
    operation["operationId"]: operation
    for path in DOCUMENT["paths"].values()
    for operation in path.values()
}
WITHOUT_A_KEY = {"getLiveness", "getMetrics", "getReadiness"}
_REGISTRY: Registry[Any] = Registry().with_resource(
    "urn:document", Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
)


def errors_of(schema: Node, example: object) -> list[str]:
    """Return what is wrong with an example of a schema of the document."""
    located = json.loads(json.dumps(schema).replace('"#/', '"urn:document#/'))
    validator = Draft202012Validator(located, registry=_REGISTRY, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(example)]


def nodes(node: object, path: str = "#") -> Iterator[tuple[str, Node]]:
    """Yield every object of a document with its place, examples left out."""
    if isinstance(node, dict):
        yield path, node
        for name, value in node.items():
            if name not in {"example", "examples", "default"}:
                yield from nodes(value, f"{path}/{name}")
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from nodes(value, f"{path}/{position}")
