"""Rate limits: of each key, of wrong keys from an address, and of refusals.

Each key has buckets of its own, so who asks for more than its share is told to wait, and nobody
else is. An event counts as one, alone or in a batch, and so does the CPU time that a large body
takes; every other request counts as one, and the CPU time that parsing its body takes as more.
One that may change something counts among the changes as well: each of those has every process
match events anew.

Whoever tries keys is slowed down by address. A valid key passes all the same, so nobody behind the
same address is locked out. For the others, what memory knows decides, so guessing costs the
database nothing.

A refusal takes about as long to make as any other answer, and those who are refused have nothing
to lose. Those of one tenant, or of an address without a key, wait for one another beyond a burst.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from hookline.api.cpu_shares import tenant_of
from hookline.api.middleware import caller_of, is_connected
from hookline.domain.access import Principal, Role
from hookline.errors import NotAuthenticated, Overloaded
from hookline.logs import get_logger

if TYPE_CHECKING:
    from hookline.integrations.key_cache import KeyCache

REFUSALS = 20  # in a row: a deployment with a stale key, restarted a few times
_REGAINED = 0.2  # refusals a second
MOST_ADDRESSES = 4_096  # remembered; the one that was quiet for longest is forgotten first

_LOG = get_logger(__name__)
_BURST = 2.0  # seconds' worth that may come at once
_BURST_OF_CHANGES = 10.0  # seconds' worth: a program that sets up a PBX makes hundreds
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_KEYS = 10_000  # remembered at a time; forgetting a key gives it a full bucket
_WHAT_TO_DO = "wait as long as Retry-After says, or ask the operator for more."


class KeyRateLimits:
    """Counts what keys ask for; raises Overloaded for what is over a key's share."""

    def __init__(
        self,
        *,
        requests_per_second: float,
        changes_per_second: float,
        events_per_second: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._requests_per_second = requests_per_second
        self._changes_per_second = changes_per_second
        self._events_per_second = events_per_second
        self._requests: dict[UUID, TokenBucket] = {}
        self._changes: dict[UUID, TokenBucket] = {}
        self._events: dict[UUID, TokenBucket] = {}
        self.refused_events = 0  # told by the metrics; a batch that is refused counts as one

    def spend_request(self, principal: Principal, method: str) -> None:
        """Count one request that sends no event; by its method, among the changes too.

        Administrators' changes are not counted: they run the service, and set it up in bulk.
        """
        now = self._clock()
        wait = _bucket(self._requests, principal.key_id, self._requests_per_second, now).take(now)
        if wait > 0.0:
            raise Overloaded(f"This key asks too often; {_WHAT_TO_DO}", retry_after=wait)
        if method not in _READS and principal.role is not Role.ADMIN:
            self._spend_change(principal, now)

    def spend_event(self, principal: Principal) -> None:
        """Count one event, or the first of a batch."""
        now = self._clock()
        wait = _bucket(self._events, principal.key_id, self._events_per_second, now).take(now)
        if wait > 0.0:
            self.refused_events += 1
            raise Overloaded(f"This key sends too many events; {_WHAT_TO_DO}", retry_after=wait)

    def _spend_change(self, principal: Principal, now: float) -> None:
        rate = self._changes_per_second
        bucket = _bucket(self._changes, principal.key_id, rate, now, burst=_BURST_OF_CHANGES)
        if (wait := bucket.take(now)) > 0.0:
            raise Overloaded(f"This key changes too much; {_WHAT_TO_DO}", retry_after=wait)

    def charge_events(self, principal: Principal, more: int) -> None:
        """Count the other events of a batch that was let in; the key's next events wait for it."""
        now = self._clock()
        _bucket(self._events, principal.key_id, self._events_per_second, now).charge(more)

    def charge_request_cpu(self, key_id: UUID, seconds: float) -> None:
        """Count CPU time of parsing: a second as the requests that a second may bring."""
        bucket = _bucket(self._requests, key_id, self._requests_per_second, self._clock())
        bucket.charge(seconds * self._requests_per_second)

    def charge_cpu(self, key_id: UUID, seconds: float) -> None:
        """Count CPU time spent on large bodies: a second as the events that a second may bring."""
        now = self._clock()
        bucket = _bucket(self._events, key_id, self._events_per_second, now)
        bucket.charge(seconds * self._events_per_second)


class TokenBucket:
    """Holds up to `burst` and gains `rate` a second; begins full. Times are in seconds."""

    __slots__ = ("_burst", "_level", "_looked_at", "_rate")

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._looked_at = now

    def take(self, now: float) -> float:
        """Take one and return 0.0; or, where there is none, the seconds until there is."""
        wait = self.wait(now)
        if wait == 0.0:
            self._level -= 1.0
        return wait

    def charge(self, amount: float) -> None:
        """Take this much, whether it is there or not: a debt that later ones wait for."""
        self._level -= amount

    def wait(self, now: float) -> float:
        """Return the seconds until one can be taken, 0.0 where it can at once."""
        level = self._level + (now - self._looked_at) * self._rate
        self._level = min(self._burst, level)
        self._looked_at = now
        return 0.0 if self._level >= 1.0 else (1.0 - self._level) / self._rate


def _bucket(
    buckets: dict[UUID, TokenBucket],
    key_id: UUID,
    rate: float,
    now: float,
    *,
    burst: float = _BURST,
) -> TokenBucket:
    bucket = buckets.get(key_id)
    if bucket is None:
        if len(buckets) >= _MOST_KEYS:
            buckets.clear()
        bucket = TokenBucket(rate=rate, burst=max(1.0, rate * burst), now=now)
        buckets[key_id] = bucket
    return bucket


class AuthenticationThrottle:
    """Counts refused keys by the address that they came from."""

    def __init__(
        self,
        keys: "KeyCache",
        *,
        refusals: int = REFUSALS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._refusals = refusals
        self._clock = clock
        self._seen: OrderedDict[str, TokenBucket] = OrderedDict()
        self.refused = 0  # told by the metrics

    def __len__(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._seen)

    async def check(self, request: Request) -> None:
        """Raise Overloaded for a key that isn't valid, from an address that had its tries."""
        if not self._seen:
            return
        bucket = self._seen.get(_network_of(request))
        wait = 0.0 if bucket is None else bucket.wait(self._clock())
        header = request.headers.get("authorization")
        if wait > 0.0 and header is not None and not await self._keys.knows(header):
            raise Overloaded(
                "Too many wrong keys came from this address; look yours up, and come again when"
                " Retry-After says.",
                retry_after=wait,
            )

    def count_refused(self, request: Request) -> None:
        """Note that the key of this request was refused; without a key, nothing was tried."""
        if "authorization" not in request.headers:
            return
        self.refused += 1
        network, now = _network_of(request), self._clock()
        bucket = self._seen.get(network)
        if bucket is None:
            if len(self._seen) >= MOST_ADDRESSES:
                self._seen.popitem(last=False)
            bucket = self._seen[network] = TokenBucket(
                rate=_REGAINED, burst=self._refusals, now=now
            )
        self._seen.move_to_end(network)
        bucket.take(now)
        if bucket.wait(now) > 0.0:
            _LOG.warning("keys.guessing_slowed", address=network)


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
            await self._turn(f"{what} {_network_of(Request(scope))}", pace, scope)
        try:
            await self._app(scope, receive, send)
        except (Overloaded, NotAuthenticated, HTTPException) as error:
            caller = caller_of(scope)
            if caller is None:
                await self._turn(_network_of(Request(scope)), _OF_ADDRESS, scope)
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


def _network_of(request: Request) -> str:
    return network_of(request.client.host if request.client else "")


_ONE_CUSTOMER = 64  # bits of an IPv6 address that one subscriber has all addresses behind


def network_of(host: str) -> str:
    """Return an IPv4 address, or the /64 of an IPv6 address; anything else as it is."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        prefix = int(address) >> _ONE_CUSTOMER << _ONE_CUSTOMER
        return str(mapped or f"{IPv6Address(prefix)}/{_ONE_CUSTOMER}")
    return host
