from contextlib import nullcontext

import httpx
import pytest
from fastapi import FastAPI

from factories import an_event
from hookline.api import events
from hookline.api.deps import Services
from hookline.app import create_app
from support.api_client import Api, Keys
from support.stories import a_pbx


async def test_what_is_reached_by_a_shortcut_is_documented(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    documented = {
        (method, path): paths[path][method.lower()]["operationId"]
        for method, path in events.SHORTCUTS
    }
    assert documented == {
        ("POST", "/v1/events"): "sendEvent",
        ("POST", "/v1/events/batch"): "sendEventBatch",
    }


async def test_the_router_answers_as_the_shortcut_does(
    api: Api, services: Services, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SHORTCUTS", {})
    app = create_app(lambda: nullcontext(services))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    key, pbx = await keys.ingest(), a_pbx()
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://hookline.test") as client,
    ):
        routed = Api(client, key)
        for path in ("/v1/events", "/v1/events/batch"):
            for document in (an_event(pbx=pbx), {"events": [an_event(pbx=pbx)]}, {"events": 1}):
                await api.post(path, document, key=key)
                one = await api.post(path, document, key=key)
                other = await routed.post(path, document)
                assert (one.status_code, one.json()) == (other.status_code, other.json())
                assert one.headers == other.headers


async def test_other_methods_and_paths_are_left_to_the_router(api: Api) -> None:
    assert (await api.get("/v1/events/batch")).status_code == 404
    refused = await api.put("/v1/events", {})
    assert refused.status_code == 405
    assert refused.headers["allow"] in {"GET", "POST", "GET, POST"}
    assert (await api.post("/v1/events/", an_event())).status_code == 404
