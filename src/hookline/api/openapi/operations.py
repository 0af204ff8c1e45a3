"""Operations set right: how they are named and described, who may call them, what they answer."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hookline.api.openapi.answers import ANSWERS, REFUSALS
from hookline.api.problems import MEDIA_TYPE

Schema = dict[str, Any]  # Any: a JSON document

_UNSAID = "Successful Response"  # what FastAPI writes where nothing is said
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def camel(name: str) -> str:
    """Return a snake_case name in camelCase."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def operations_of(document: Schema) -> Iterator[Schema]:
    """Yield the operations of the document's paths."""
    for path in document["paths"].values():
        yield from (operation for method, operation in path.items() if method in _METHODS)


def set_operations_right(document: Schema) -> None:
    """Set every operation of the document right."""
    document["paths"] = {camel(path): entry for path, entry in document["paths"].items()}
    schemas = document["components"]["schemas"]
    for operation in operations_of(document):
        summary, _, description = operation["description"].partition("\n\n")
        operation["summary"] = summary.rstrip(".")
        roles = [role for option in operation.get("security", ()) for role in option["bearer"]]
        told = description.replace("\n", " ") or summary
        operation["description"] = f"{told}{_whose_call(roles)}"
        operation["security"] = [{"bearer": []}] if roles else []
        if roles:
            operation["x-roles"] = roles
        for parameter in operation.get("parameters", ()):
            _set_parameter_right(parameter)
        _set_responses_right(operation, schemas)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)


def _whose_call(roles: Sequence[str]) -> str:
    if not roles:
        return "\n\nTakes no key."
    *others, last = (f"`{role}`" for role in roles)
    either = f"{', '.join(others)} or {last}" if others else last
    return f"\n\nRole of the key: {either}."


def _set_parameter_right(parameter: Schema) -> None:
    """Say of a parameter that may be left out just that: a query can't hold a null."""
    schema = parameter["schema"]
    if parameter["in"] == "path":
        parameter["name"] = camel(parameter["name"])
    for option in schema.pop("anyOf", []):
        if option != {"type": "null"}:
            schema.update({**option, **schema})
    for unwanted in ("title", "description"):
        schema.pop(unwanted, None)
    if schema.get("default", ...) is None:
        del schema["default"]


def _set_responses_right(operation: Schema, schemas: Schema) -> None:
    for status, response in list(operation["responses"].items()):
        named = operation["operationId"]
        answer = ANSWERS.get(f"{named} {status}", ANSWERS.get(named))
        content = response.get("content", {})
        name = content.get("application/json", {}).get("schema", {}).get("$ref", "/")
        name = name.rpartition("/")[2]
        if name == "HTTPValidationError":  # FastAPI's own, which is never sent
            del operation["responses"][status]
        elif name.endswith("Problem"):
            response["content"] = {MEDIA_TYPE: content["application/json"]}
            response["content"][MEDIA_TYPE]["example"] = REFUSALS[int(status)]
        elif content and status.startswith("2") and answer is not None:
            next(iter(content.values()))["example"] = answer
        if response["description"] == _UNSAID:
            response["description"] = schemas.get(name, {}).get("description", "Done.")
