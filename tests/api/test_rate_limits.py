from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import count

import httpx
import pytest

from factories import Json, a_webhook, an_event
from hookline.api import bounded_body
from hookline.api.dependencies import Services
from hookline.api.fairness import TimeSlices
from hookline.api.rate_limits import KeyRateLimits
from hookline.app import create_app
from hookline.dispatch import ingest
from hookline.dispatch.ingest_authorisation import IngestAuthorisation
from hookline.integrations import subscription
from support.api_client import Api, Keys
from support.event_history import a_pbx
from support.fakes import FakeClock

REQUESTS, EVENTS = 2.0, 4.0  # a second; twice as many at once
CHANGES = 0.1  # a second; ten times as many at once


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def bounded(services: Services, clock: FakeClock) -> AsyncIterator[Api]:
    rate_limits = KeyRateLimits(
        requests_per_second=REQUESTS,
        changes_per_second=CHANGES,
        events_per_second=EVENTS,
        clock=clock,
    )
    a_second_each = TimeSlices(lambda key_id, _: rate_limits.charge_cpu(key_id, 1.0))
    authorisation = IngestAuthorisation(
        services.keys, services.retries._subscriptions, rate_limits.charge_cpu
    )
    parts = replace(
        services,
        rate_limits=rate_limits,
        time_slices=a_second_each,
        ingest_authorisation=authorisation,
    )
    app = create_app(lambda: nullcontext(parts))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://bounded.test") as client,
    ):
        yield Api(client, "")


@pytest.fixture
def expensive_matching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "thread_time", count().__next__)  # a second for each step
    monkeypatch.setattr(ingest, "_COPY", 0.01)  # seconds for a byte


async def asked(api: Api, key: str, times: int) -> list[int]:
    return [(await api.get("/v1/event-types", key=key)).status_code for _ in range(times)]


async def sent(api: Api, key: str, times: int) -> list[int]:
    event = an_event(pbx=a_pbx())
    return [(await api.post("/v1/events", event, key=key)).status_code for _ in range(times)]


async def test_who_asks_too_often_waits_and_nobody_else_does(
    bounded: Api, keys: Keys, clock: FakeClock
) -> None:
    busy, other = await keys.admin(), await keys.admin()
    assert await asked(bounded, busy, 6) == [200] * 4 + [429] * 2
    refused = await bounded.get("/v1/event-types", key=busy)
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["type"] == "/problems/overloaded"
    assert await asked(bounded, other, 1) == [200]
    clock.now += 1
    assert await asked(bounded, busy, 3) == [200, 200, 429]


async def test_who_changes_too_much_waits_and_may_still_ask(
    bounded: Api, keys: Keys, clock: FakeClock
) -> None:
    busy, other = await keys.manager(pbx=a_pbx()), await keys.manager(pbx=a_pbx())
    path = "/v1/integrations/s95eum"
    assert (await bounded.delete(path, key=busy)).status_code != 429
    refused = await bounded.delete(path, key=busy)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    assert "This key changes too much" in refused.json()["detail"]
    assert await asked(bounded, busy, 1) == [200]
    assert (await bounded.delete(path, key=other)).status_code != 429
    clock.now += 10
    assert (await bounded.delete(path, key=busy)).status_code != 429


async def test_administrators_change_as_much_as_they_may_ask(bounded: Api, keys: Keys) -> None:
    admin = await keys.admin()
    path = "/v1/integrations/s95eum"
    assert [(await bounded.delete(path, key=admin)).status_code for _ in range(3)] == [404] * 3


async def test_who_sends_too_much_waits_and_may_still_ask(
    bounded: Api, keys: Keys, clock: FakeClock
) -> None:
    busy, other = await keys.admin(), await keys.ingest()
    assert await sent(bounded, busy, 9) == [202] * 8 + [429]
    assert await sent(bounded, other, 1) == [202]
    assert await asked(bounded, busy, 1) == [200]
    clock.now += 1
    assert await sent(bounded, busy, 5) == [202] * 4 + [429]


async def test_the_events_of_a_batch_count_each(bounded: Api, keys: Keys, clock: FakeClock) -> None:
    key = await keys.ingest()
    batch = {"events": [an_event(pbx=a_pbx()) for _ in range(20)]}
    assert (await bounded.post("/v1/events/batch", batch, key=key)).status_code == 202
    refused = await bounded.post("/v1/events/batch", batch, key=key)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "4")
    clock.now += 4
    assert await sent(bounded, key, 5) == [202] * 4 + [429]


async def test_a_refused_request_is_not_read(bounded: Api, keys: Keys) -> None:
    key = await keys.ingest()
    await sent(bounded, key, 8)
    answer = await bounded.request("POST", "/v1/events", content=b"no JSON", key=key)
    assert answer.status_code == 429


async def test_the_time_that_a_large_body_takes_counts_as_the_events_of_that_time(
    bounded: Api, keys: Keys, clock: FakeClock
) -> None:
    busy, other = await keys.ingest(), await keys.ingest()
    large = an_event(pbx=a_pbx(), data={"text": ["x"] * 10_000})
    assert (await bounded.post("/v1/events", large, key=busy)).status_code == 202
    refused = await bounded.post("/v1/events", an_event(), key=busy)
    assert refused.status_code == 429
    assert await sent(bounded, other, 1) == [202]
    clock.now += int(refused.headers["retry-after"])
    assert (await bounded.post("/v1/events", an_event(), key=busy)).status_code == 202


async def test_the_time_that_a_requests_body_takes_counts_as_requests(
    bounded: Api, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        bounded_body, "thread_time", count().__next__
    )  # seconds: to parse, and check
    key, other = await keys.admin(), await keys.admin()
    answers = [await bounded.post("/v1/integrations", {"no": 1}, key=key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [422, 429, 429]
    assert await asked(bounded, other, 1) == [200]


@pytest.mark.parametrize(
    ("chosen", "accepted"),
    [
        ({"filter": {"data": {"direction": ["INBOUND"]}}}, 2),
        ({"filter": {"data": {"direction": ["OUTBOUND"]}}, "omit": ["data.text"]}, 2),  # no copy
        ({"omit": ["data.text"]}, 1),
        ({}, 3),
    ],
)
@pytest.mark.usefixtures("expensive_matching")
async def test_what_filters_and_copies_of_an_event_take_counts_as_events(
    api: Api, bounded: Api, keys: Keys, chosen: Json, accepted: int
) -> None:
    pbx = a_pbx()
    assert (await api.post("/v1/integrations", a_webhook(pbx=pbx, **chosen))).status_code == 201
    key, other = await keys.ingest(pbx=pbx), await keys.ingest()
    data = {"direction": "INBOUND", "text": "x" * 200}
    events = [an_event(pbx=pbx, id=f"{number}", data=data) for number in range(3)]
    told = [(await bounded.post("/v1/events", each, key=key)).status_code for each in events]
    assert told == [202] * accepted + [429] * (3 - accepted)
    assert await sent(bounded, other, 1) == [202]
