"""Answers that refuse, sent at a bounded rate: whoever comes again at once costs little.

A refusal takes about as long to make as any other answer, and those who are refused have nothing
to lose. Those of one tenant, or of an address without a key, wait for one another beyond a burst.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from hookline.api.cpu_shares import tenant_of
from hookline.api.middleware import caller_of, is_connected
from hookline.api.rate_limits import TokenBucket, network_of
from hookline.errors import NotAuthenticated, Overloaded

_LOOK: Final = 1.0  # seconds between looks at whether anybody waits for the answer
_MOST_REMEMBERED: Final = 10_000  # whoever is forgotten has a full burst again


class _Pace(NamedTuple):
    per_second: float
    at_once: int
    longest: float = 30.0  # seconds that one waits; clients give up about then


_OF_TENANT: Final = _Pace(20.0, 100)  # each takes about a millisecond of CPU
_OF_ADDRESS: Final = _Pace(50.0, 200)
_PAGES: Final = _Pace(200.0, 1_000)  # of the console and the documentation, which have many parts
_METRICS: Final = _Pace(5.0, 50)  # each takes milliseconds
_PROBES: Final = _Pace(100.0, 500, longest=0.5)  # also of whoever shares an address with a flood
_OPEN: Final = {"/livez": _PROBES, "/readyz": _PROBES, "/metrics": _METRICS}
_PAGE: Final = "page"
_DOCUMENT: Final = "/v1/openapi.json"


class PacedRefusals:
    """Middleware that holds refusals back; keys that are bound to no tenant are not held back.

    What takes no key refuses nobody: it has bounds for each address too.
    """

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; an error that refuses goes on in its turn."""
        path = scope["path"]
        if not path.startswith("/v1/") or path == _DOCUMENT:
            pace = _OPEN.get(path, _PAGES)
            what = path if path in _OPEN else _PAGE
            await self._turn(f"{what} {_network(scope)}", pace, scope)
        try:
            await self._app(scope, receive, send)
        except (Overloaded, NotAuthenticated, HTTPException) as error:
            caller = caller_of(scope)
            if caller is None:
                await self._turn(_network(scope), _OF_ADDRESS, scope)
            elif isinstance(error, Overloaded) and not caller.unbound:
                await self._turn(tenant_of(caller), _OF_TENANT, scope)
            raise

    async def _turn(self, whose: str, pace: _Pace, scope: Scope) -> None:
        """Wait until the next answer to this one is due, or its client has gone."""
        now = self._clock()
        bucket = self._buckets.get(whose)
        if bucket is None:
            if len(self._buckets) >= _MOST_REMEMBERED:
                self._buckets.clear()
            bucket = TokenBucket(rate=pace.per_second, burst=pace.at_once, now=now)
            self._buckets[whose] = bucket
        until = now + min(bucket.wait(now), pace.longest)
        if until - now < pace.longest:
            bucket.charge(1.0)
        while (wait := until - self._clock()) > 0 and is_connected(scope):  # noqa: ASYNC110 - for time
            await asyncio.sleep(min(wait, _LOOK))


def _network(scope: Scope) -> str:
    client = Request(scope).client
    return network_of(client.host if client else "")
