"""null stands for the default of a field that may be left out, when things are made and changed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from factories import Json, a_queue, a_webhook, an_event
from support.databases import Databases
from support.service import Service, services

AMBIGUOUS = {"enabled"}  # of an integration: null may be meant as off, and on is the default
A_PERIOD = {
    "since": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
    "until": datetime.now(UTC).isoformat(),
}
CHANGED: Json = {
    "name": "CRM",
    "filter": {"data": {"direction": ["INBOUND"]}},
    "omit": ["data.text"],
    "delivery": {"call": {"maxAge": 30, "keep": "latest", "retryDelays": [1]}},
    "ordering": "subject",
    "maxInFlight": 3,
    "rateLimit": 5,
}


@pytest.fixture(scope="module")
async def service(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> AsyncIterator[Service]:
    folder = tmp_path_factory.mktemp("nulls")
    async with databases.migrated() as dsn, services(folder, DATABASE_URL=dsn) as starter:
        yield await starter.start()


async def an_integration(service: Service, **changes: object) -> Json:
    document = a_webhook(url="http://127.0.0.1:9/hook") | changes
    return dict((await service.api.post("/v1/integrations", document)).raise_for_status().json())


def chosen(integration: Json) -> dict[str, Any]:
    """Return what of an integration was chosen, the secret left out."""
    fields = {*CHANGED, "enabled", "events", "pbx", "company"}
    headers = integration["transmission"]["headers"]
    return {name: integration[name] for name in fields} | {"headers": headers}


async def test_null_creates_what_leaving_out_does(service: Service) -> None:
    left_out = await an_integration(service)
    for field in (*CHANGED, "company"):
        assert chosen(await an_integration(service, **{field: None})) == chosen(left_out) | (
            {"name": "127.0.0.1"} if field == "name" else {}
        ), field
    nested = a_webhook(url="http://127.0.0.1:9/hook", headers={"X-Old": None})
    nested |= {"events": nested["events"] | {"chat": None}, "delivery": {"call": None}}
    assert chosen(await an_integration(service, **nested)) == chosen(left_out)
    nested["transmission"]["headers"] = None
    assert chosen(await an_integration(service, **nested)) == chosen(left_out)


async def test_null_changes_back_to_the_default(service: Service) -> None:
    left_out = chosen(await an_integration(service))
    made = await an_integration(service, **CHANGED)
    for field in CHANGED:
        at = f"/v1/integrations/{made['id']}"
        answer = await service.api.patch(at, {field: None})
        assert answer.status_code == 200, answer.text
        default = "127.0.0.1" if field == "name" else left_out[field]
        assert answer.json()[field] == default, field


async def test_null_for_the_order_of_a_fifo_queue_is_its_only_order(service: Service) -> None:
    document = a_queue()
    document["transmission"]["url"] += ".fifo"
    made = (await service.api.post("/v1/integrations", document | {"ordering": None})).json()
    assert made["ordering"] == "subject"
    changed = await service.api.patch(f"/v1/integrations/{made['id']}", {"ordering": None})
    assert changed.json() == made | {"transmission": changed.json()["transmission"]}


@pytest.mark.parametrize("field", ["enabled", "events", "transmission"])
async def test_null_for_what_has_no_default_or_two_meanings_is_refused(
    service: Service, field: str
) -> None:
    made = await an_integration(service)
    created = await service.api.post("/v1/integrations", a_webhook() | {field: None})
    changed = await service.api.patch(f"/v1/integrations/{made['id']}", {field: None})
    for answer in (created, changed):
        assert answer.status_code == 422
        assert [each["path"] for each in answer.json()["errors"]] == [field]


async def test_every_other_request_takes_null_for_what_may_be_left_out(service: Service) -> None:
    made = (await an_integration(service))["id"]
    schemas = (await service.read("/v1/openapi.json"))["components"]["schemas"]
    example = {"group": "call", "title": "T", "example": an_event(type="call:odd")}
    for method, path, name, needed in (
        ("POST", "/v1/keys", "ApiKeyCreate", {"role": "ingest"}),
        ("POST", f"/v1/integrations/{made}/rotate-secret", "SecretRotationRequest", {}),
        ("POST", f"/v1/integrations/{made}/replays", "ReplayCreate", A_PERIOD),
        ("POST", "/v1/filters/try", "FilterTrialRequest", {"filter": {}}),
        ("PUT", "/v1/pbxs/p1", "PbxPut", {"company": "c", "license": "x-bees"}),
        ("PUT", "/v1/event-types/call:odd", "EventTypePut", example),
        ("POST", "/v1/integrations", "IntegrationCreate", a_webhook()),
    ):
        described = schemas[name]
        optional = set(described["properties"]) - set(described.get("required", ())) - AMBIGUOUS
        assert optional, name
        body: Json = dict.fromkeys(optional) | needed
        answer = await service.api.request(method, path, json=body)
        assert answer.is_success, f"{name}: {answer.text}"
