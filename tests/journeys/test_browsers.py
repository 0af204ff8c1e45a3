"""What browsers, monitors and proxies see of every answer of the real server."""

import httpx
import pytest

from factories import an_event
from support.service import Service, Services

ORIGIN = "https://manager.example.com"
PATHS = (
    *("/livez", "/readyz", "/metrics", "/docs", "/docs/swagger-ui.css", "/v1/openapi.json"),
    *("/v1/integrations", "/v1/integrations/s95eum", "/v1/events", "/v1/deliveries"),
)


@pytest.fixture
async def service(together: Services) -> Service:
    return await together.start(CORS_ORIGINS=ORIGIN)


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
        await api.get("/livez", headers=origin),
        await api.request("OPTIONS", "/v1/events", key=None, headers=origin | preflight),
    ]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [202, 202, 401, 401, 422, 413, 400, 404, 405, 200, 200]
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {ORIGIN}
    foreign = await api.post("/v1/events", an_event(), headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in foreign.headers


async def test_head_is_get_without_a_body(service: Service) -> None:
    for path in PATHS:
        got, head = await service.api.get(path), await service.api.request("HEAD", path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        moving = {"date", "content-length"} if path == "/metrics" else {"date"}
        assert _without(head.headers, moving) == _without(got.headers, moving)


def _without(headers: httpx.Headers, names: set[str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}
