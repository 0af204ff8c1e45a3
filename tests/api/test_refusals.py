"""Refusals are sent at a bounded rate, to each tenant and each address its own."""

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from uuid import uuid4

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from hookline.api.middleware import note_caller
from hookline.api.rate_limits import PacedRefusals
from hookline.domain.access import Principal, Role
from hookline.errors import NotAuthenticated, Overloaded
from support.fakes import FakeClock

ONE = Principal(uuid4(), Role.INGEST, "one", company="it_one0001")
ONES_OTHER_KEY = Principal(uuid4(), Role.MANAGER, "other", company="it_one0001")
OTHER = Principal(uuid4(), Role.INGEST, "other", pbx="000000000002")
OPERATOR = Principal(uuid4(), Role.INGEST, "everybody's")


class Connection:
    """One whose client has gone."""

    ended = True

    def authenticated(self, tenant: str) -> None:
        """Take note."""


class Asked:
    """An application that refuses, behind the middleware."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._paced = PacedRefusals(self._app, clock)
        self._error: Exception | None = None
        self._caller: Principal | None = None

    async def _app(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        if self._caller is not None:
            note_caller(scope, self._caller)
        if self._error is not None:
            raise self._error

    async def waited(
        self,
        error: Exception | None,
        caller: Principal | None = None,
        *,
        host: str = "192.0.2.1",
        path: str = "/v1/events",
        gone: bool = False,
    ) -> float:
        """Return how many seconds the answer to one request was held back."""
        began = self._clock.now
        self._error, self._caller = error, caller
        scope = {"type": "http", "path": path, "client": (host, 1), "state": {}}
        if gone:
            scope["extensions"] = {"hookline.connection": Connection}
        with nullcontext() if error is None else pytest.raises(type(error)):
            await self._paced(scope, None, None)  # type: ignore[arg-type]  # nothing reads or sends
        return self._clock.now - began


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    clock, sleep = FakeClock(), asyncio.sleep

    async def slept(seconds: float) -> None:
        clock.now += seconds
        await sleep(0)

    # Whatever else runs in this process sleeps as ever.
    monkeypatch.setattr("hookline.api.rate_limits.asyncio", SimpleNamespace(sleep=slept))
    return Asked(clock)


def too_much() -> Overloaded:
    return Overloaded("too much", retry_after=1.0)


async def test_a_tenants_refusals_wait_for_one_another_beyond_a_burst(asked: Asked) -> None:
    for _ in range(50):
        assert await asked.waited(too_much(), ONE) == 0
        assert await asked.waited(too_much(), ONES_OTHER_KEY) == 0
    assert sum([await asked.waited(too_much(), ONE) for _ in range(20)]) == pytest.approx(
        1, abs=0.1
    )
    assert await asked.waited(too_much(), OTHER) == 0
    assert await asked.waited(None, ONE) == 0
    assert await asked.waited(ValueError(), ONE) == 0


async def test_the_operators_own_systems_are_told_at_once(asked: Asked) -> None:
    assert sum([await asked.waited(too_much(), OPERATOR) for _ in range(1_000)]) == 0


@pytest.mark.parametrize("error", [NotAuthenticated("no"), too_much(), HTTPException(404)])
async def test_whoever_has_no_key_is_held_back_by_address(asked: Asked, error: Exception) -> None:
    assert sum([await asked.waited(error) for _ in range(200)]) == 0
    assert await asked.waited(error) > 0
    assert await asked.waited(error, host="192.0.2.2") == 0
    assert await asked.waited(too_much(), ONE) == 0


async def test_addresses_of_one_ipv6_network_are_held_back_together(asked: Asked) -> None:
    hosts = [f"2001:db8::{at:x}" for at in range(1, 202)]
    waited = [await asked.waited(NotAuthenticated("no"), host=host) for host in hosts]
    assert waited[:200] == [0] * 200
    assert waited[200] > 0


@pytest.mark.parametrize(
    ("path", "at_once", "longest"),
    [
        ("/console/", 1_000, 30),
        ("/v1/openapi.json", 1_000, 30),
        ("/metrics", 50, 30),
        ("/livez", 500, 0.5),
        ("/readyz", 500, 0.5),
    ],
)
async def test_what_takes_no_key_has_bounds_of_its_own(
    asked: Asked, path: str, at_once: int, longest: float
) -> None:
    assert sum([await asked.waited(None, path=path) for _ in range(at_once)]) == 0
    assert await asked.waited(None, path=path) > 0
    assert await asked.waited(None, path=path, host="192.0.2.2") == 0
    assert await asked.waited(NotAuthenticated("no")) == 0
    for _ in range(10_000):
        await asked.waited(None, path=path, gone=True)
    assert await asked.waited(None, path=path) == pytest.approx(longest, rel=0.01)


async def test_nobody_waits_for_long_nor_for_clients_that_are_gone(asked: Asked) -> None:
    waits = [await asked.waited(too_much(), ONE, gone=True) for _ in range(2_000)]
    assert sum(waits) == 0
    assert 29 < await asked.waited(too_much(), ONE) < 30.1
