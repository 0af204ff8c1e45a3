"""The linters hold the committed document to their rules, and notice what breaks one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apitools import lint as linter
from apitools import node
from apitools.places import DOCUMENT, HERE

Node = dict[str, Any]  # Any: a part of a JSON document


def test_the_committed_document_is_in_order() -> None:
    assert "Your API description is valid" in linter.lint()


def without_summary(document: Node) -> None:
    del document["paths"]["/v1/events"]["get"]["summary"]


def with_wrong_example(document: Node) -> None:
    answer = document["paths"]["/v1/events"]["post"]["responses"]["202"]
    answer["content"]["application/json"]["example"]["deliveries"] = "two"


def with_unused_schema(document: Node) -> None:
    document["components"]["schemas"]["Nobodys"] = {"type": "object"}


def without_a_security_requirement(document: Node) -> None:
    del document["paths"]["/v1/events"]["get"]["security"]


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (without_summary, "operation-summary"),
        (with_wrong_example, "no-invalid-media-type-examples"),
        (with_unused_schema, "no-unused-components"),
        (without_a_security_requirement, "security-defined"),
    ],
)
def test_redocly_notices(spoil: Callable[[Node], None], rule: str, tmp_path: Path) -> None:
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    spoil(document)
    (tmp_path / DOCUMENT.name).write_text(json.dumps(document), encoding="utf-8")
    for rules in ("redocly.yaml", ".redocly.lint-ignore.yaml"):
        shutil.copy(HERE / rules, tmp_path)
    with pytest.raises(node.NodeFailed, match=rule):
        linter.lint(tmp_path)


def test_the_specification_itself_comes_first(tmp_path: Path) -> None:
    wrong = tmp_path / DOCUMENT.name
    wrong.write_text('{"openapi": "3.1.0", "paths": {}}', encoding="utf-8")
    with pytest.raises(linter.NotValid, match="info"):
        linter.lint(tmp_path)
