"""Slows down whoever tries keys: too many refused ones from an address, and it is told to wait.

A valid key passes all the same, so nobody behind the same address is locked out. For the others,
what memory knows decides, so guessing costs the database nothing.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from fastapi import Request

from hookline.api.rate_limits import TokenBucket
from hookline.errors import Overloaded
from hookline.logs import get_logger

if TYPE_CHECKING:
    from hookline.integrations.key_cache import KeyCache

REFUSALS = 20  # in a row: a deployment with a stale key, restarted a few times
_REGAINED = 0.2  # refusals a second
MOST_ADDRESSES = 4_096  # remembered; the one that was quiet for longest is forgotten first

_LOG = get_logger(__name__)


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
