"""Every route with every kind of key, for objects of its own tenant and of another.

The table is held to the app's own routes: a new one fails here until it has its row.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from factories import Json, a_webhook, an_event
from hookline.domain.access import Role
from hookline.domain.ids import new_uuid
from support.api_client import Api, Keys
from support.event_history import a_pbx
from support.openapi import DOCUMENT

OPERATIONS = {
    operation["operationId"]: (method.upper(), path)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
WITHOUT_A_KEY = {
    "/console",
    "/console/{path:path}",
    "/docs",
    "/docs/start.js",
    "/docs/{name}",
    "/problems/{name}",
    "/v1/openapi.json",
}
"""Routes outside the document, that say the same to everybody."""
SINCE = (datetime.now(UTC) - timedelta(days=1)).isoformat()
UNTIL = datetime.now(UTC).isoformat()


@dataclass(frozen=True, slots=True)
class Row:
    """What one operation takes and does: `body` to send, and the status where it is allowed."""

    well: int = 200
    body: Any = None
    query: str = ""
    open: bool = False  # to everybody
    ingest: bool = False
    manager: bool = True
    creates: bool = False  # for the tenant in the body
    lists: bool = False
    lasts: bool = False  # its answer has no end: asked for its head alone


A_TYPE = {"group": "call", "title": "Built in", "example": an_event()}

TABLE = {
    "listEventTypes": Row(ingest=True),
    "createIntegration": Row(201, a_webhook(), creates=True),
    "listIntegrations": Row(lists=True),
    "getIntegration": Row(),
    "updateIntegration": Row(body={"name": "Changed"}),
    "deleteIntegration": Row(204),
    "getIntegrationSecret": Row(),
    "rotateIntegrationSecret": Row(body={}),
    "tryFilter": Row(body={"filter": {"type": ["call:start"]}}),
    "testIntegration": Row(body={"type": "call:completed"}),
    "putPbx": Row(body={"company": "it_w1", "license": "x-bees"}, manager=False),
    "getPbx": Row(),
    "listPbxs": Row(lists=True),
    "deletePbx": Row(204, manager=False),
    "createKey": Row(201, {"role": "admin"}, manager=False),
    "getCurrentKey": Row(ingest=True),
    "listKeys": Row(manager=False),
    "revokeKey": Row(204, manager=False),
    "getSystem": Row(manager=False),
    "putEventType": Row(409, A_TYPE, manager=False),
    "deleteEventType": Row(409, manager=False),
    "sendEvent": Row(202, an_event(), ingest=True, manager=False, creates=True),
    "sendEventBatch": Row(202, {"events": []}, ingest=True, manager=False),
    "listEvents": Row(lists=True),
    "getEvent": Row(),
    "listDeliveries": Row(lists=True),
    "getDelivery": Row(),
    "retryDelivery": Row(202),
    "startErasure": Row(202, {"pbx": "of nobody"}, manager=False),
    "listErasures": Row(manager=False),
    "getErasure": Row(manager=False),
    "startReplay": Row(body={"since": SINCE, "until": UNTIL, "dryRun": True}),
    "listReplays": Row(),
    "getReplay": Row(),
    "cancelReplay": Row(),
    "getIntegrationStatistics": Row(),
    "getStatistics": Row(),
    "getStatisticsByIntegration": Row(query="?integrationId=zzzzzz"),
    "streamDeliveries": Row(lasts=True),
    "getLiveness": Row(open=True),
    "getReadiness": Row(open=True),
    "getMetrics": Row(open=True),
}


@dataclass(frozen=True, slots=True)
class Tenant:
    """A company with one PBX, one object of each kind, and a key of each kind."""

    objects: dict[str, str]  # by the name that paths have for their id
    company: str
    ingest: str
    managers: tuple[str, str]  # of the PBX, of the company

    @property
    def pbx(self) -> str:
        return self.objects["pbx"]


async def a_tenant(api: Api, keys: Keys) -> Tenant:
    pbx = a_pbx()
    company = f"it_{pbx}"
    described = {"company": company, "license": "x-bees", "presenceEvents": True}
    assert (await api.put(f"/v1/pbxs/{pbx}", described)).status_code == 200
    made = (await api.post("/v1/integrations", a_webhook(pbx=pbx, company=company))).json()
    receipt = (await api.post("/v1/events", an_event(pbx=pbx, company=company))).json()
    event = (await api.get(f"/v1/events/{receipt['eventId']}")).json()
    replays = f"/v1/integrations/{made['id']}/replays"
    replay = (await api.post(replays, {"since": SINCE, "until": UNTIL})).json()
    objects = {
        "pbx": pbx,
        "type": "call:start",  # everybody's
        "integrationId": made["id"],
        "eventId": receipt["eventId"],
        "deliveryId": event["outcomes"][0]["deliveryId"],
        "replayId": replay["id"],
        "erasureId": (await api.post("/v1/erasures", {"pbx": pbx, "subject": "?"})).json()["id"],
        "keyId": str((await keys.service.create(Role.INGEST, pbx=pbx)).record.id),
    }
    managers = await keys.manager(pbx=pbx), await keys.manager(company=company)
    return Tenant(objects, company, await keys.ingest(pbx=pbx), managers)


NOBODYS = {
    "pbx": "999999999999",
    "type": "call:start",
    "integrationId": "zzzzzz",
    "eventId": str(new_uuid()),
    "deliveryId": str(new_uuid()),
    "replayId": str(new_uuid()),
    "erasureId": str(new_uuid()),
    "keyId": str(new_uuid()),
}


async def call(
    api: Api, name: str, key: str | None, objects: dict[str, str], company: str = "it_w000001"
) -> httpx.Response:
    """Call an operation on these objects, or for their PBX."""
    method, path = OPERATIONS[name]
    row, body = TABLE[name], TABLE[name].body
    method = "HEAD" if row.lasts else method
    if row.creates:
        body = body | {"pbx": objects["pbx"], "company": company}
    path = re.sub(r"\{(\w+)\}", lambda found: objects[found[1]], path)
    answer = await api.request(method, path + row.query, json=body, key=key)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
    return answer


@pytest.fixture(scope="module")
async def here(api: Api, keys: Keys) -> Tenant:
    """One that nothing is done to either: what it asks for is another's."""
    return await a_tenant(api, keys)


@pytest.fixture(scope="module")
async def there(api: Api, keys: Keys) -> Tenant:
    return await a_tenant(api, keys)


@pytest.fixture(scope="module")
async def useless(keys: Keys) -> list[str | None]:
    return [None, "hk_" + "x" * 43, await keys.expired(), await keys.revoked()]


def test_every_route_has_its_row(app: FastAPI) -> None:
    assert set(TABLE) == set(OPERATIONS)
    routes = [context.route for context in iter_route_contexts(app.routes)]
    hidden = {
        str(getattr(route, "path", route))
        for route in routes
        if not (isinstance(route, APIRoute) and route.include_in_schema)
    }
    assert hidden == WITHOUT_A_KEY


@pytest.mark.parametrize("name", TABLE)
async def test_nobody_gets_in_without_a_valid_key(
    api: Api, useless: list[str | None], there: Tenant, name: str
) -> None:
    for key in useless:
        answer = await call(api, name, key, there.objects)
        assert answer.status_code == (TABLE[name].well if TABLE[name].open else 401)


@pytest.mark.parametrize("name", TABLE)
async def test_each_role_does_what_is_its_own(api: Api, keys: Keys, name: str) -> None:
    row, own = TABLE[name], None
    for role in ("ingest", "pbx manager", "company manager", "admin"):
        own = own or await a_tenant(api, keys)
        key = {
            "ingest": own.ingest,
            "pbx manager": own.managers[0],
            "company manager": own.managers[1],
            "admin": "",
        }[role]
        allowed = row.open or role == "admin" or (row.ingest if role == "ingest" else row.manager)
        answer = await call(api, name, key, own.objects, own.company)
        assert answer.status_code == (row.well if allowed else 403), (role, answer.text)
        if allowed and OPERATIONS[name][0] != "GET":
            own = None  # it is not what it was


@pytest.mark.parametrize("name", [name for name in TABLE if "{" in OPERATIONS[name][1]])
async def test_another_tenants_object_is_as_one_that_does_not_exist(
    api: Api, here: Tenant, there: Tenant, name: str
) -> None:
    before = await everything(api, there)
    for key in (*here.managers, here.ingest):
        others, nobodys = [await call(api, name, key, each) for each in (there.objects, NOBODYS)]
        expected = 404 if key != here.ingest and TABLE[name].manager else 403
        assert (others.status_code, nobodys.status_code) == (expected, expected)
        assert anonymous(others, there.objects) == anonymous(nobodys, NOBODYS)
    assert await everything(api, there) == before


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.lists])
async def test_lists_hold_nothing_of_others(
    api: Api, here: Tenant, there: Tenant, name: str
) -> None:
    for key in here.managers:
        for asked in ("", f"?pbx={there.pbx}", f"?integrationId={there.objects['integrationId']}"):
            answer = await api.get(OPERATIONS[name][1] + asked, key=key)
            assert answer.status_code in {200, 422}  # 422: a parameter of another list
            assert not any(found in answer.text for found in there.objects.values())


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.creates])
async def test_nothing_is_made_or_sent_for_others(
    api: Api, here: Tenant, there: Tenant, name: str
) -> None:
    before = await everything(api, there)
    for key in (*here.managers, here.ingest):
        answer = await call(api, name, key, there.objects, there.company)
        assert answer.status_code == 403
        mixed = await call(api, name, key, there.objects, here.company)
        assert mixed.status_code == 403
    assert await everything(api, there) == before


async def everything(api: Api, tenant: Tenant) -> list[Json]:
    """Return all that an admin sees of a tenant."""
    paths = [
        f"/v1/integrations?pbx={tenant.pbx}",
        f"/v1/integrations/{tenant.objects['integrationId']}/secret",
        f"/v1/events?pbx={tenant.pbx}",
        f"/v1/deliveries?integrationId={tenant.objects['integrationId']}",
        f"/v1/deliveries/{tenant.objects['deliveryId']}",
        f"/v1/replays/{tenant.objects['replayId']}",
        f"/v1/pbxs/{tenant.pbx}",
    ]
    return [(await api.get(path)).json() for path in paths]


def anonymous(answer: httpx.Response, objects: dict[str, str]) -> tuple[str, list[str]]:
    """Return an answer without the ids that were asked for, which it may repeat."""
    text = answer.text
    for found in objects.values():
        text = text.replace(found, "…")
    return text, sorted(answer.headers)
