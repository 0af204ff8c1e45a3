"""What browsers, monitors and proxies see of every answer of the real server."""

import httpx
import pytest

from factories import an_event
from support.postgres_clients import connection
from support.service import Service, Services

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ORIGIN = "https://manager.example.com"
PATHS = (
    *("/livez", "/readyz", "/metrics", "/docs", "/docs/swagger-ui.css", "/v1/openapi.json"),
    *("/v1/integrations", "/v1/integrations/s95eum", "/v1/events", "/v1/deliveries"),
)


PBX = {"company": "it_w000001", "license": "x-bees"}
CANCELS = """
    create function cancel() returns trigger language plpgsql as $$
        begin raise exception 'as if it took too long' using errcode = 'query_canceled'; end $$;
    create trigger cancels before insert on pbxs execute function cancel()
"""


@pytest.fixture
async def service(together: Services) -> Service:
    return await together.start(CORS_ORIGINS=ORIGIN, EVENTS_PER_SECOND="20")


async def test_every_answer_may_be_read_by_a_page_of_an_allowed_origin(service: Service) -> None:
    api, origin = service.api, {"Origin": ORIGIN}
    batch, preflight = {"events": [an_event()]}, {"Access-Control-Request-Method": "POST"}
    answers: list[httpx.Response] = [
        await api.post("/v1/events", an_event(), headers=origin),
        await api.post("/v1/events/batch", batch, headers=origin),
        await api.post("/v1/events", an_event(), key=None, headers=origin),
        await api.get("/v1/integrations", key="hk_" + "x" * 43, headers=origin),
        await api.post("/v1/events", {}, headers=origin),
        await api.post("/v1/events", {"data": "x" * 2_000_000}, headers=origin),
        await api.request("POST", "/v1/events", content=b"{", headers=origin),
        await api.get("/v1/nowhere", headers=origin),
        await api.delete("/v1/events", headers=origin),
        await api.post("/v1/integrations", {}, headers=origin | {"Content-Type": "text/plain"}),
        await api.get("/livez", headers=origin),
        await api.request("OPTIONS", "/v1/events", key=None, headers=origin | preflight),
    ]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [202, 202, 401, 401, 422, 413, 400, 404, 405, 415, 200, 200]
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {ORIGIN}
    assert answers[-1].headers["access-control-allow-methods"].split(", ") == list(METHODS)
    foreign = await api.post("/v1/events", an_event(), headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in foreign.headers


async def test_so_may_answers_that_say_to_come_again_or_that_something_broke(
    service: Service, together: Services
) -> None:
    api, origin = service.api, {"Origin": ORIGIN}
    await service.send_batch([an_event()] * 1_000)  # fifty seconds' worth
    too_many = await api.post("/v1/events", an_event(), headers=origin)
    async with connection(together.settings["DATABASE_URL"]) as client:
        await client.execute("alter table pbxs rename to gone")
        broken = await api.get("/v1/pbxs/1", headers=origin)
        await client.execute("alter table gone rename to pbxs")
        await client.execute(CANCELS)
        busy = await api.put("/v1/pbxs/1", PBX, headers=origin)
    answers = [too_many, broken, busy]
    assert [answer.status_code for answer in answers] == [429, 500, 503]
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {ORIGIN}
    for answer in (too_many, busy):
        assert "Retry-After" in answer.headers["access-control-expose-headers"]


async def test_head_is_get_without_a_body(service: Service) -> None:
    for path in PATHS:
        got, head = await service.api.get(path), await service.api.request("HEAD", path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        moving = {"date", "content-length"} if path == "/metrics" else {"date"}
        assert _without(head.headers, moving) == _without(got.headers, moving)


def _without(headers: httpx.Headers, names: set[str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}
