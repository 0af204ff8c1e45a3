"""Which changes of the document break programs that were right."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from apitools.changes import Effect
from apitools.compare import compare
from apitools.places import DOCUMENT

Node = dict[str, Any]  # Any: a part of a JSON document
Edit = Callable[[Node], object]

COMMITTED: Node = json.loads(DOCUMENT.read_text(encoding="utf-8"))
STATES: list[str] = COMMITTED["components"]["schemas"]["HealthState"]["enum"]


def changed(edit: Edit) -> Node:
    document = copy.deepcopy(COMMITTED)
    edit(document)
    return document


def schemas(document: Node) -> Node:
    found: Node = document["components"]["schemas"]
    return found


def fields(document: Node, name: str) -> Node:
    found: Node = schemas(document)[name]["properties"]
    return found


def integrations(document: Node) -> Node:
    found: Node = document["paths"]["/v1/integrations"]
    return found


def rename(name: str, other: str) -> Edit:
    def edit(document: Node) -> None:
        text = json.dumps(document).replace(f'schemas/{name}"', f'schemas/{other}"')
        document.update(json.loads(text))
        schemas(document)[other] = schemas(document).pop(name)

    return edit


BREAKS: dict[str, tuple[Edit, str]] = {
    "an operation that goes": (
        lambda d: integrations(d).pop("get"),
        "GET /v1/integrations: is gone",
    ),
    "another operation id": (
        lambda d: integrations(d)["get"].update(operationId="allIntegrations"),
        "generated clients call it `allIntegrations`",
    ),
    "another name of a schema": (
        rename("IntegrationCreate", "NewIntegration"),
        "schema `IntegrationCreate`: generated clients call it `NewIntegration`",
    ),
    "a role that is shut out": (
        lambda d: integrations(d)["get"].update({"x-roles": ["admin"]}),
        "no longer takes keys of the role `manager`",
    ),
    "a parameter that goes": (
        lambda d: integrations(d)["get"]["parameters"].pop(0),
        "query parameter `pbx`: is gone",
    ),
    "a parameter that is demanded": (
        lambda d: integrations(d)["get"]["parameters"][0].update(required=True),
        "is required now",
    ),
    "a request field that is demanded": (
        lambda d: schemas(d)["IntegrationCreate"]["required"].append("maxInFlight"),
        "body · `maxInFlight`: is required now",
    ),
    "a request field that goes": (
        lambda d: fields(d, "IntegrationCreate").pop("maxInFlight"),
        "body · `maxInFlight`: is gone",
    ),
    "a narrower bound": (
        lambda d: fields(d, "IntegrationCreate")["maxInFlight"].update(maximum=10),
        "`maximum` is `10`, and was `1000`",
    ),
    "a choice that is taken away": (
        lambda d: schemas(d)["PbxLicence"]["enum"].remove("x-bees"),
        "is never `x-bees` any more",
    ),
    "a kind of target that goes": (
        lambda d: schemas(d)["TransmissionCreate"]["oneOf"].pop(),
        "is never `AWS_SQS` any more",
    ),
    "an answered field that goes": (
        lambda d: fields(d, "Delivery").pop("reason"),
        "answer 200 · `reason`: is gone",
    ),
    "an answered field that may be missing": (
        lambda d: schemas(d)["Delivery"]["required"].remove("attempts"),
        "`attempts`: may be left out now",
    ),
    "an answered field that may be null": (
        lambda d: fields(d, "Delivery").update(
            createdAt={"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}
        ),
        "`createdAt`: may be null",
    ),
    "another type of answer": (
        lambda d: fields(d, "EventReceipt")["deliveries"].update(type="string"),
        "is string, no longer integer",
    ),
    "another success": (
        lambda d: integrations(d)["post"]["responses"].update(
            {"200": integrations(d)["post"]["responses"].pop("201")}
        ),
        "answer 201: is gone",
    ),
    "an event type that goes": (
        lambda d: d["webhooks"].pop("sms:status"),
        "webhook `sms:status`: is gone",
    ),
    "a field of a copy that goes": (
        lambda d: fields(d, "PresenceUserEvent").pop("company"),
        "webhook `presence:user` · `company`: is gone",
    ),
}

HARMLESS: dict[str, tuple[Edit, Effect | None]] = {
    "a new operation": (
        lambda d: d["paths"].update({"/v1/new": {"get": integrations(d)["get"]}}),
        Effect.ADDED,
    ),
    "a new optional request field": (
        lambda d: fields(d, "IntegrationCreate").update(note={"type": "string"}),
        Effect.ADDED,
    ),
    "a new answered field": (
        lambda d: fields(d, "Delivery").update(note={"type": "string"}),
        Effect.ADDED,
    ),
    "another value of an answered list": (
        lambda d: schemas(d)["HealthState"]["enum"].append("resting"),
        Effect.ADDED,
    ),
    "another choice": (lambda d: schemas(d)["PbxLicence"]["enum"].append("uc"), Effect.ADDED),
    "a wider bound": (
        lambda d: fields(d, "IntegrationCreate")["maxInFlight"].update(maximum=5000),
        Effect.RELAXED,
    ),
    "a field that is no longer demanded": (
        lambda d: schemas(d)["TestRequest"].update(required=[]),
        None,
    ),
    "a new event type": (
        lambda d: d["webhooks"].update({"sms:new": d["webhooks"]["sms:status"]}),
        Effect.ADDED,
    ),
    "a list of values that is spelled out": (
        lambda d: schemas(d).update(
            HealthState={"oneOf": [{"type": "string", "enum": [state]} for state in STATES]}
        ),
        None,
    ),
    "a role more": (
        lambda d: integrations(d)["get"]["x-roles"].append("ingest"),
        Effect.ADDED,
    ),
    "a deprecation": (lambda d: integrations(d)["get"].update(deprecated=True), Effect.RELAXED),
    "another text": (lambda d: integrations(d)["get"].update(summary="All of them"), None),
}


@pytest.mark.parametrize("name", BREAKS)
def test_it_breaks_programs(name: str) -> None:
    edit, told = BREAKS[name]
    breaks = [str(change) for change in compare(COMMITTED, changed(edit)) if change.breaks]
    assert [change for change in breaks if told in change], breaks


@pytest.mark.parametrize("name", HARMLESS)
def test_it_breaks_nothing(name: str) -> None:
    edit, effect = HARMLESS[name]
    changes = compare(COMMITTED, changed(edit))
    assert {change.effect for change in changes} == ({effect} if effect else set())


def test_nothing_changed() -> None:
    assert compare(COMMITTED, copy.deepcopy(COMMITTED)) == []
