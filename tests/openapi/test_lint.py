"""The linters hold the committed document to their rules, and notice what breaks one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apitools import lint as linter
from apitools import node
from apitools.generators import faults_of
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


REDOCLY: dict[str, Callable[[Node], None]] = {
    "operation-summary": without_summary,
    "no-invalid-media-type-examples": with_wrong_example,
    "no-unused-components": with_unused_schema,
    "security-defined": without_a_security_requirement,
}


def test_redocly_notices_whatever_breaks_a_rule_of_its_own(tmp_path: Path) -> None:
    """All in one document: Redocly takes seconds to start."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    for spoil in REDOCLY.values():
        spoil(document)
    (tmp_path / DOCUMENT.name).write_text(json.dumps(document), encoding="utf-8")
    for rules in ("redocly.yaml", ".redocly.lint-ignore.yaml"):
        shutil.copy(HERE / rules, tmp_path)
    with pytest.raises(node.NodeFailed) as told:
        linter.lint(tmp_path)
    assert [rule for rule in REDOCLY if rule not in str(told.value)] == []


def fields(document: Node, name: str) -> Node:
    found: Node = document["components"]["schemas"][name]["properties"]
    return found


def schemas(document: Node) -> Node:
    found: Node = document["components"]["schemas"]
    return found


NULL = {"type": "null"}
UNFIT: dict[str, tuple[Callable[[Node], object], str]] = {
    "a name of Go's constructor": (
        lambda d: schemas(d).update(NewDelivery={"type": "object"}),
        "NewDelivery: Go clients name the constructor of Delivery so",
    ),
    "a body that is not called a request": (
        lambda d: d["paths"]["/v1/integrations"]["post"]["requestBody"]["content"].update(
            {"application/json": {"schema": {"$ref": "#/components/schemas/Integration"}}}
        ),
        "createIntegration: name the body's schema, Integration",
    ),
    "a class that languages have": (
        lambda d: schemas(d).update(Error={"type": "object"}),
        "Error: generated clients have a class of this name",
    ),
    "two names that differ in case": (
        lambda d: schemas(d).update(Pbxrecord={"type": "object"}),
        "PbxRecord: another schema has this name",
    ),
    "an id twice": (
        lambda d: d["paths"]["/v1/integrations"]["get"].update(operationId="createIntegration"),
        "createIntegration: give the operation an id of its own",
    ),
    "a default": (
        lambda d: fields(d, "IntegrationCreate")["maxInFlight"].update(default=16),
        "IntegrationCreate.maxInFlight: say the default in words",
    ),
    "a read-only field": (
        lambda d: fields(d, "Integration")["id"].update(readOnly=True),
        "Integration.id: use a schema for requests and one for answers",
    ),
    "null in place": (
        lambda d: fields(d, "Delivery").update(createdAt={"anyOf": [{"type": "string"}, NULL]}),
        "Delivery.createdAt: write `type: [string, null]`",
    ),
    "values in place": (
        lambda d: fields(d, "Delivery").update(status={"type": "string", "enum": ["a", "b"]}),
        "Delivery.status: give the list of values a name",
    ),
    "null among values": (
        lambda d: schemas(d)["ErrorKind"]["enum"].append(None),
        "ErrorKind: list texts alone",
    ),
    "a union of lists of values": (
        lambda d: schemas(d)["ErrorKind"].update(
            oneOf=[{"$ref": f"#/components/schemas/{n}"} for n in ("HealthState", "BatchStatus")]
        ),
        "ErrorKind: refer to every option, and map each in `discriminator`",
    ),
    "a union without a mapping": (
        lambda d: schemas(d)["Transmission"]["discriminator"]["mapping"].pop("WEBHOOK"),
        "Transmission: refer to every option, and map each",
    ),
    "a number of more than 32 bits": (
        lambda d: fields(d, "EventCreate")["time"].pop("format"),
        "EventCreate.time: add `format: int64`",
    ),
    "a reference that is required and may be null": (
        lambda d: schemas(d)["Delivery"]["required"].append("reason"),
        "Delivery.reason: leave the field out of `required`",
    ),
    "an object in place": (
        lambda d: fields(d, "Delivery").update(
            target={"type": "object", "properties": {"url": {"type": "string"}}}
        ),
        "Delivery.target: give the inner object a name",
    ),
    "a keyword of JSON Schema alone": (
        lambda d: fields(d, "Delivery")["attempts"].update(contains={}),
        "Delivery.attempts: client generators do not know `contains`",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_client_generators_cannot_take_is_told(name: str) -> None:
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    assert faults_of(document) == []
    spoil, told = UNFIT[name]
    spoil(document)
    assert [fault for fault in faults_of(document) if told in fault], faults_of(document)


def test_the_linter_tells_of_them(tmp_path: Path) -> None:
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    schemas(document)["ErrorKind"]["enum"].append(None)
    (tmp_path / DOCUMENT.name).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(linter.NotValid, match="ErrorKind: list texts alone"):
        linter.lint(tmp_path)


def test_the_specification_itself_comes_first(tmp_path: Path) -> None:
    wrong = tmp_path / DOCUMENT.name
    wrong.write_text('{"openapi": "3.1.0", "paths": {}}', encoding="utf-8")
    with pytest.raises(linter.NotValid, match="info"):
        linter.lint(tmp_path)
