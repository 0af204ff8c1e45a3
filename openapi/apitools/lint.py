"""Redocly over the document, as redocly.yaml says."""

from apitools import node
from apitools.places import DOCUMENT


def lint() -> str:
    """Return what Redocly says of a document without fault; raise NodeFailed with the faults."""
    return node.run(
        node.package("@redocly/cli/bin/cli.js"),
        *("lint", DOCUMENT.name, "--config", "redocly.yaml"),
        *("--lint-config", "error", "--format", "stylish"),
    )
