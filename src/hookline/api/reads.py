"""How many lists, searches and other reads of one tenant are under way at a time.

Reads of all tenants share the connections to the database. One whose reads are slow, or many, waits
for its own: of a process's connections there are always some that it does not have.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from hookline.domain.access import Principal
from hookline.errors import Overloaded

_SHARE: Final = 2  # a tenant may have one in so many of a process's connections
_MOST_WAITING: Final = 32  # reads of one tenant
_PATIENCE: Final = 10.0  # seconds that one waits; a statement ends within about that
_RETRY_AFTER: Final = 2.0  # seconds


class _Tenant(msgspec.Struct):
    places: asyncio.Semaphore
    reads: int = 0  # under way, or waiting


class Reads:
    """Gives each tenant its places: `async with reads.turn(principal): …`."""

    def __init__(self, connections: int) -> None:
        self._most = max(1, connections // _SHARE)
        self._tenants: dict[str, _Tenant] = {}

    @asynccontextmanager
    async def turn(self, principal: Principal) -> AsyncIterator[None]:
        """Wait for a place of this caller's tenant; raise Overloaded where it takes too long."""
        name = _name(principal)
        tenant = self._tenants.get(name)
        if tenant is None:
            tenant = self._tenants[name] = _Tenant(asyncio.Semaphore(self._most))
        if tenant.reads >= self._most + _MOST_WAITING:
            raise _too_many()
        tenant.reads += 1
        try:
            if tenant.places.locked():
                await _place(tenant.places)
            else:
                await tenant.places.acquire()  # at once
            try:
                yield
            finally:
                tenant.places.release()
        finally:
            tenant.reads -= 1
            if not tenant.reads:
                del self._tenants[name]


async def _place(places: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            await places.acquire()
    except TimeoutError as error:
        raise _too_many() from error


def _name(principal: Principal) -> str:
    """Return whose share it is: a company's or a PBX's; a key's that is bound to neither."""
    if principal.company is not None:
        return f"company {principal.company}"
    return f"PBX {principal.pbx}" if principal.pbx is not None else f"key {principal.key_id}"


def _too_many() -> Overloaded:
    return Overloaded(
        "Too many lists and searches of yours are under way; send fewer at a time, and come again"
        " when Retry-After says.",
        retry_after=_RETRY_AFTER,
    )
