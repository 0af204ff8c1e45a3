"""Looks names up on the event loop: bounded for each tenant, shared, and cached for a while.

c-ares asks, through aiodns: it reads the system's hosts file, search list and name servers, waits a
bounded time for an answer, and costs no thread, so that dead name servers cost their targets alone.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import aiodns

from hookline.security.egress.addresses import Address, parse_address

Addresses: TypeAlias = tuple[Address, ...]
Resolve: TypeAlias = Callable[[str], Awaitable[Addresses]]

KEPT_SECONDS: Final = 5.0  # for which an answer is kept, and that there is none as well
_MOST_KEPT = 4096  # names
_TIMEOUT = 1.0  # seconds for the first try of a name server; c-ares doubles it for the second
_TRIES = 2
_LONGEST = 3.0  # seconds for a look-up, search list included; nobody is answered later


class NameNotResolved(Exception):
    """The name has no address, or its name servers do not say so in time."""


class DnsResolver:
    """Asks the system's name servers, or others: addresses of them, perhaps with a port."""

    def __init__(self, name_servers: Sequence[str] = ()) -> None:
        self._name_servers = name_servers
        self._dns: aiodns.DNSResolver | None = None  # made in the loop that uses it

    async def __call__(self, host: str) -> Addresses:
        """Return every address of the name; raise NameNotResolved when there is none."""
        if self._dns is None:
            self._dns = aiodns.DNSResolver(
                nameservers=self._name_servers or None, timeout=_TIMEOUT, tries=_TRIES
            )
        try:
            async with asyncio.timeout(_LONGEST):
                found = await self._dns.getaddrinfo(
                    host, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM
                )
        except (aiodns.error.DNSError, UnicodeError) as error:
            raise NameNotResolved(f"{host}: {error}") from error
        except TimeoutError as error:
            raise NameNotResolved(f"{host}: no answer within {_LONGEST:g} seconds") from error
        # A link-local answer carries its zone behind a %; it stays on, and is refused for it.
        unique = dict.fromkeys(node.addr[0].decode("ascii") for node in found.nodes)
        return tuple(parse_address(text) for text in unique)

    async def aclose(self) -> None:
        """End what is still asked."""
        if self._dns is not None:
            await self._dns.close()


@dataclass(frozen=True, slots=True)
class _Kept:
    """What came of a look-up, until when it counts by the loop's clock."""

    until: float
    addresses: Addresses
    failure: NameNotResolved | None


@dataclass(slots=True)
class _Share:
    """What one tenant may have under way, and how many of it use that or wait for it."""

    slots: asyncio.Semaphore
    users: int = 0


class Lookups:
    """Look-ups for one purpose: one at a time for a name, and so many at a time for a tenant.

    A tenant beyond its share waits for itself. Who asks for the name that another one is asking for
    gets the same answer. `keep`: seconds for which an answer, or that there is none, is kept.
    """

    def __init__(self, resolve: Resolve, *, per_tenant: int, keep: float) -> None:
        self._resolve = resolve
        self._per_tenant = per_tenant
        self._keep = keep
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the oldest first
        self._running: dict[str, asyncio.Task[Addresses]] = {}
        self._shares: dict[str, _Share] = {}

    async def addresses(self, host: str, tenant: str) -> Addresses:
        """Return every address of the name; raise NameNotResolved when there is none."""
        if (kept := self._known(host)) is None:
            async with self._slot(tenant):
                if (kept := self._known(host)) is None:
                    return await self._ask(host)
        if kept.failure is not None:
            raise NameNotResolved(str(kept.failure))
        return kept.addresses

    def close(self) -> None:
        """Wait for nothing any more."""
        for lookup in self._running.values():
            lookup.cancel()

    def _known(self, host: str) -> _Kept | None:
        kept = self._kept.get(host)
        return kept if kept and kept.until > asyncio.get_running_loop().time() else None

    async def _ask(self, host: str) -> Addresses:
        """Join the look-up of a name, or begin it; who stops waiting stops it for nobody else."""
        lookup = self._running.get(host)
        if lookup is None:
            work = self._look_up(host)
            lookup = asyncio.create_task(work, name="look-up")  # noqa: TID251 - awaited below
            self._running[host] = lookup
            lookup.add_done_callback(lambda done: self._ended(host, done))
        return await asyncio.shield(lookup)

    async def _look_up(self, host: str) -> Addresses:
        addresses, failure = (), None  # type: tuple[Addresses, NameNotResolved | None]
        try:
            addresses = await self._resolve(host)
        except NameNotResolved as error:
            failure = error
        until = asyncio.get_running_loop().time() + self._keep
        self._kept.pop(host, None)
        self._kept[host] = _Kept(until, addresses, failure)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        if failure is not None:
            raise failure
        return addresses

    def _ended(self, host: str, lookup: asyncio.Task[Addresses]) -> None:
        del self._running[host]
        if not lookup.cancelled():
            lookup.exception()  # nobody may be waiting any more

    @asynccontextmanager
    async def _slot(self, tenant: str) -> AsyncIterator[None]:
        share = self._shares.get(tenant)
        if share is None:
            share = self._shares[tenant] = _Share(asyncio.Semaphore(self._per_tenant))
        share.users += 1
        try:
            async with share.slots:
                yield
        finally:
            share.users -= 1
            if not share.users:
                del self._shares[tenant]
