import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from inspect import iscoroutinefunction

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from openapi_spec_validator import validate

from hookline.api.dependencies import Check, Services
from hookline.app import create_app, openapi_document
from hookline.db import connections
from hookline.domain.catalogue import load_catalogue
from hookline.integrations.key_cache import KeyCache
from hookline.integrations.revision import Transactions
from support.api_client import Api
from support.fakes import FakeReadiness


async def test_the_catalogue_is_complete_and_in_the_forms_order(api: Api) -> None:
    document = (await api.get("/v1/event-types")).json()
    assert [group["name"] for group in document["groups"]][:5] == [
        "call",
        "conference",
        "chat",
        "analytics",
        "presence",
    ]
    listed = {kind["name"]: kind for group in document["groups"] for kind in group["types"]}
    assert list(listed) == [kind.name for kind in load_catalogue().types]
    assert listed["presence:user"]["licensed"] is True
    assert listed["call:transcription:text:completed"]["format"] == "text"
    for name, kind in listed.items():
        assert kind["example"]["type"] == name
        assert kind["title"]
        assert kind["description"]


async def test_an_unknown_address_and_method_are_problems(api: Api) -> None:
    nowhere = await api.get("/v1/nowhere")
    assert nowhere.status_code == 404
    assert nowhere.headers["content-type"] == "application/problem+json"
    assert nowhere.json()["type"] == "/problems/not-found"
    method = await api.delete("/v1/event-types")
    assert method.status_code == 405
    assert method.headers["content-type"] == "application/problem+json"
    assert method.headers["allow"] == "GET, HEAD"
    several = await api.request("OPTIONS", "/v1/integrations")
    assert several.headers["allow"] == "GET, HEAD, POST"
    slash = await api.get("/v1/integrations/")
    assert slash.status_code in {404, 405}


async def test_no_answer_is_to_be_kept_on_the_way(api: Api) -> None:
    for answer in (await api.get("/v1/event-types"), await api.get("/v1/nowhere", key=None)):
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_liveness_and_readiness_ask_for_no_key(api: Api, readiness: FakeReadiness) -> None:
    assert (await api.get("/livez", key=None)).json() == {"status": "alive"}
    ready = await api.get("/readyz", key=None)
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    readiness.well = False
    not_ready = await api.get("/readyz", key=None)
    readiness.well = True
    assert not_ready.status_code == 503
    assert not_ready.json() == {
        "status": "not ready",
        "checks": [{"name": "database", "ok": False, "detail": "away"}],
    }


async def test_the_docs_need_nothing_from_elsewhere(api: Api) -> None:
    page = await api.get("/docs", key=None)
    assert page.status_code == 200
    assert "//" not in page.text.replace("<!doctype html>", "")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
        asset = await api.get(f"/docs/{name}", key=None)
        assert asset.status_code == 200
        assert asset.headers["content-type"].startswith("text/")
    assert (await api.get("/docs/core.py", key=None)).status_code == 404


async def test_every_problem_is_explained_where_its_type_leads(api: Api) -> None:
    for answer in (
        await api.get("/v1/integrations/s95eum"),
        await api.get("/v1/integrations?limit=0"),
        await api.delete("/v1/event-types"),
        await api.request("POST", "/v1/integrations", content="x", headers={"Content-Type": "a"}),
    ):
        problem = answer.json()
        explained = await api.get(problem["type"], key=None)
        assert explained.status_code == 200
        assert problem["title"] in explained.text
    assert (await api.get("/problems/nonsense", key=None)).status_code == 404


async def test_the_document_is_valid_and_names_its_operations(api: Api) -> None:
    served = (await api.get("/v1/openapi.json", key=None)).json()
    assert served == json.loads(openapi_document())
    validate(served)
    operations = [each for path in served["paths"].values() for each in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert {"createIntegration", "updateIntegration", "listEventTypes", "putPbx"} <= set(names)
    assert "HTTPValidationError" not in served["components"]["schemas"]
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]


class Broken(FakeReadiness):
    async def checks(self) -> Sequence[Check]:
        raise RuntimeError("a secret detail")


@pytest.fixture
async def broken(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """An app with a fault of its own, whose database is away."""
    away = connections.engine("postgresql://postgres@127.0.0.1:1/nowhere")
    faulty = replace(services, readiness=Broken(), keys=KeyCache(Transactions(away)))
    app = create_app(lambda: nullcontext(faulty))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://broken.test") as client:
            yield client
    await away.dispose()


async def test_an_unexpected_error_is_a_problem_that_tells_nothing(
    broken: httpx.AsyncClient,
) -> None:
    answer = await broken.get("/readyz")
    assert answer.status_code == 500
    assert answer.json()["type"] == "/problems/internal"
    assert "secret detail" not in answer.text


async def test_a_database_that_is_away_is_a_503_that_says_when_to_come_again(
    broken: httpx.AsyncClient,
) -> None:
    key = {"Authorization": "Bearer hk_" + "x" * 43}
    answer = await broken.get("/v1/integrations", headers=key)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["type"] == "/problems/unavailable"


def test_no_dependency_of_a_route_runs_in_a_thread() -> None:
    dependencies = {
        dependency.call
        for route in create_app(_never).routes
        if isinstance(route, APIRoute)
        for dependency in _dependencies(route.dependant)
    }
    assert len(dependencies) > 5
    assert [each for each in dependencies if not _is_async(each)] == []


def _dependencies(dependant: Dependant) -> Iterator[Dependant]:
    for each in dependant.dependencies:
        yield each
        yield from _dependencies(each)


def _is_async(call: object) -> bool:
    return iscoroutinefunction(call) or iscoroutinefunction(type(call).__call__)


def _never() -> AbstractAsyncContextManager[Services]:
    raise AssertionError("nothing is opened")
