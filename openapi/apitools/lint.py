"""Checks the document: by the specification, by Redocly, and by what client generators take."""

import json
from pathlib import Path

from jsonschema.exceptions import ValidationError
from openapi_spec_validator import validate

from apitools import node
from apitools.generators import faults_of
from apitools.places import DOCUMENT, HERE


class NotValid(Exception):
    """The document is not OpenAPI, or not for client generators; the message says where."""


def lint(folder: Path = HERE) -> str:
    """Return what Redocly says of a folder's document, if that is without fault.

    Raises NotValid where it breaks the specification, NodeFailed where it breaks a rule.
    """
    document = json.loads((folder / DOCUMENT.name).read_text(encoding="utf-8"))
    try:
        validate(document)
    except ValidationError as error:
        raise NotValid(f"{DOCUMENT.name}: {error.json_path}: {error.message}") from error
    if faults := faults_of(document):
        listed = "\n".join(f"- {fault}" for fault in faults)
        raise NotValid(f"{DOCUMENT.name}: client generators cannot take this:\n{listed}")
    return node.run(
        node.package("@redocly/cli/bin/cli.js"),
        *("lint", DOCUMENT.name, "--config", "redocly.yaml"),
        *("--lint-config", "error", "--format", "stylish"),
        folder=folder,
    )
