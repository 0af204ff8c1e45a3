from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace

import httpx
import pytest
from fastapi import Request
from structlog.testing import capture_logs

from hookline.api.dependencies import Services
from hookline.api.rate_limits import MOST_ADDRESSES, REFUSALS, AuthenticationThrottle
from hookline.app import create_app
from support.api_client import Api, Keys
from support.fakes import FakeClock

WRONG = "hk_" + "x" * 43
ANYWHERE = "/v1/event-types"


class Caller:
    """One app, called from whatever address a test names."""

    def __init__(self, services: Services, keys: Keys) -> None:
        self.clock = FakeClock()
        self.throttle = AuthenticationThrottle(services.keys, clock=self.clock)
        self.app = create_app(
            lambda: nullcontext(replace(services, authentication_throttle=self.throttle))
        )
        self.keys = keys

    async def ask(
        self, key: str | None, *, path: str = ANYWHERE, method: str = "GET", address: str
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
            return await Api(client, "").request(method, path, key=key)

    async def guess(self, times: int, *, address: str) -> list[int]:
        return [(await self.ask(WRONG, address=address)).status_code for _ in range(times)]


@pytest.fixture
async def caller(services: Services, keys: Keys) -> AsyncIterator[Caller]:
    made = Caller(services, keys)
    async with made.app.router.lifespan_context(made.app):
        yield made


async def test_who_guesses_keys_is_told_to_wait(caller: Caller) -> None:
    with capture_logs() as lines:
        assert await caller.guess(REFUSALS + 5, address="192.0.2.1") == [401] * REFUSALS + [429] * 5
    answer = await caller.ask(WRONG, address="192.0.2.1")
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert answer.json()["type"] == "/problems/overloaded"
    assert [line["address"] for line in lines] == ["192.0.2.1"]
    caller.clock.now += int(answer.headers["retry-after"])
    assert await caller.guess(2, address="192.0.2.1") == [401, 429]


@pytest.mark.parametrize(("method", "path"), [("GET", ANYWHERE), ("POST", "/v1/events")])
async def test_a_valid_key_passes_from_the_same_address(
    caller: Caller, method: str, path: str
) -> None:
    known = await caller.keys.admin()
    assert (await caller.ask(known, address="192.0.2.2")).status_code == 200
    assert (await caller.guess(REFUSALS + 1, address="192.0.2.2"))[-1] == 429
    made_since = await caller.keys.admin()
    for key in (known, made_since):
        answer = await caller.ask(key, method=method, path=path, address="192.0.2.2")
        assert answer.status_code in {200, 400}
    refused = await caller.ask(WRONG, method=method, path=path, address="192.0.2.2")
    assert refused.status_code == 429


async def test_others_are_not_slowed(caller: Caller) -> None:
    await caller.guess(REFUSALS + 1, address="192.0.2.3")
    assert await caller.guess(1, address="192.0.2.4") == [401]


async def test_one_subscribers_ipv6_addresses_are_one(caller: Caller) -> None:
    for number in range(REFUSALS):
        await caller.guess(1, address=f"2001:db8::{number:x}")
    assert await caller.guess(1, address="2001:db8::ffff") == [429]
    assert await caller.guess(1, address="2001:db8:0:1::1") == [401]


async def test_asking_without_a_key_is_no_guess(caller: Caller) -> None:
    for _ in range(REFUSALS + 5):
        assert (await caller.ask(None, address="192.0.2.5")).status_code == 401


async def test_guessing_from_everywhere_is_remembered_within_bounds(caller: Caller) -> None:
    for number in range(5_000):
        caller.throttle.count_refused(sent_from(f"198.{number // 256}.{number % 256}.1"))
    assert len(caller.throttle) == MOST_ADDRESSES


def sent_from(address: str) -> Request:
    headers = [(b"authorization", f"Bearer {WRONG}".encode())]
    return Request({"type": "http", "client": (address, 1), "headers": headers})
