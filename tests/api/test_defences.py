"""What answers tell browsers, which bodies are not even opened, and keys revoked elsewhere."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from factories import Json, a_webhook, an_event
from hookline.api.dependencies import Services
from hookline.app import create_app
from hookline.dispatch.ingest import Ingest
from hookline.dispatch.ingest_authorisation import IngestAuthorisation
from hookline.domain.catalogue import load_catalogue
from hookline.integrations.key_cache import KeyCache
from hookline.integrations.revision import Transactions
from hookline.integrations.subscriptions import Subscriptions
from hookline.queue.postgres import PostgresQueue
from hookline.security.secrets import KeyRing, generate_key
from support.api_client import Api, Keys
from support.event_history import a_pbx
from support.fakes import Notified

HERE, THERE = "https://pbx.example.com", "https://evil.example.com"
EVERY_KIND = ["/v1/event-types", "/v1/nowhere", "/livez", "/docs", "/docs/start.js", "/nowhere"]


@asynccontextmanager
async def calling(app: FastAPI, key: str) -> AsyncIterator[Api]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://hookline.test") as client,
    ):
        yield Api(client, key)


@pytest.fixture
async def open_to_here(services: Services, keys: Keys) -> AsyncIterator[Api]:
    app = create_app(lambda: nullcontext(services), cors_origins=(HERE,))
    async with calling(app, await keys.admin()) as api:
        yield api


@pytest.mark.parametrize("path", EVERY_KIND)
async def test_every_answer_says_how_it_is_to_be_taken(api: Api, path: str) -> None:
    answer = await api.get(path)
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    [policy] = answer.headers.get_list("content-security-policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    if path.startswith("/docs"):
        assert "script-src 'self';" in policy
    else:
        assert policy == "default-src 'none'; frame-ancestors 'none'"


async def test_events_are_answered_with_the_same_headers(api: Api) -> None:
    answer = await api.post("/v1/events", an_event(pbx=a_pbx()))
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_no_other_origin_may_call_unless_it_is_named(api: Api) -> None:
    for method in ("OPTIONS", "GET"):
        headers = {"Origin": HERE, "Access-Control-Request-Method": "GET"}
        answer = await api.request(method, "/v1/integrations", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/integrations"), ("POST", "/v1/events")])
async def test_pages_of_a_named_origin_may_call(open_to_here: Api, method: str, path: str) -> None:
    asked = {
        "Origin": HERE,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type, if-match",
    }
    before = await open_to_here.request("OPTIONS", path, headers=asked, key=None)
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == HERE
    assert "access-control-allow-credentials" not in before.headers
    for key in ("", None):
        answer = await open_to_here.request(method, path, headers={"Origin": HERE}, key=key)
        assert answer.headers["access-control-allow-origin"] == HERE
        assert "etag" in answer.headers["access-control-expose-headers"].lower()
    refused = await open_to_here.request("OPTIONS", path, headers=asked | {"Origin": THERE})
    assert refused.status_code == 400
    other = await open_to_here.request(method, path, headers={"Origin": THERE})
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/v1/events", an_event()),
        ("/v1/events/batch", {"events": [an_event()]}),
        ("/v1/integrations", a_webhook()),
    ],
)
@pytest.mark.parametrize("coding", ["gzip", "deflate, gzip", "br", "GZIP"])
async def test_a_compressed_body_is_not_opened(
    api: Api, path: str, document: Json, coding: str
) -> None:
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    body = gzip.compress(json.dumps(document).encode())
    answer = await api.request("POST", path, content=body, headers=headers)
    assert answer.status_code == 415
    assert answer.json()["type"] == "/problems/unsupported-media-type"
    assert "Content-Encoding" in answer.json()["detail"]


async def test_a_body_that_says_it_is_as_it_is_is_taken(api: Api) -> None:
    event = an_event(pbx=a_pbx())
    answer = await api.post("/v1/events", event, headers={"Content-Encoding": "identity"})
    assert answer.status_code == 202


@pytest.fixture
async def elsewhere(
    services: Services, transactions: Transactions, queue: PostgresQueue, keys: Keys
) -> AsyncIterator[Api]:
    """A second process on the same database: an app that shares no memory with the first."""
    cache, notified = KeyCache(transactions), Notified()
    subscriptions = Subscriptions(transactions, load_catalogue(), KeyRing.parse(generate_key()))
    await subscriptions.catch_up()
    ingest = Ingest(
        queue,
        subscriptions,
        None,
        born_lease=queue.born_lease,
        start=notified.started,
        wake=notified.notify,
        notify=notified.notify,
    )
    authorisation = IngestAuthorisation(cache, subscriptions, services.rate_limits.charge_cpu)
    own = replace(services, keys=cache, ingest_authorisation=authorisation, ingest=ingest)
    async with calling(create_app(lambda: nullcontext(own)), await keys.admin()) as api:
        yield api


async def test_a_key_that_is_revoked_in_one_process_is_worthless_in_all(
    api: Api, elsewhere: Api, keys: Keys
) -> None:
    key = await keys.admin()
    for each in (api, elsewhere):
        assert (await each.get("/v1/integrations", key=key)).status_code == 200
        sent = await each.post("/v1/events", an_event(pbx=a_pbx()), key=key)
        assert sent.status_code == 202
    await keys.revoke_newest()
    for each in (api, elsewhere):
        assert (await each.get("/v1/integrations", key=key)).status_code == 401
    key = await keys.ingest()
    for each in (api, elsewhere):
        sent = await each.post("/v1/events", an_event(pbx=a_pbx()), key=key)
        assert sent.status_code == 202
    await keys.revoke_newest()
    for each in (api, elsewhere):
        refused = await each.post("/v1/events", an_event(pbx=a_pbx()), key=key)
        assert refused.status_code == 401
