"""Is the document in order? By the specification itself, and by Redocly as redocly.yaml says."""

import json
from pathlib import Path

from jsonschema.exceptions import ValidationError
from openapi_spec_validator import validate

from apitools import node
from apitools.places import DOCUMENT, HERE


class NotValid(Exception):
    """The document is not OpenAPI; the message says where."""


def lint(folder: Path = HERE) -> str:
    """Return what Redocly says of a folder's document, if that is without fault.

    Raises NotValid where it breaks the specification, NodeFailed where it breaks a rule.
    """
    try:
        validate(json.loads((folder / DOCUMENT.name).read_text(encoding="utf-8")))
    except ValidationError as error:
        raise NotValid(f"{DOCUMENT.name}: {error.json_path}: {error.message}") from error
    return node.run(
        node.package("@redocly/cli/bin/cli.js"),
        *("lint", DOCUMENT.name, "--config", "redocly.yaml"),
        *("--lint-config", "error", "--format", "stylish"),
        folder=folder,
    )
