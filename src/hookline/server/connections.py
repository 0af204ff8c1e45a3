"""All open connections of one process, bounded, with a share for each tenant and address.

A connection that has shown a valid key is worth more than one that has not: where there is no room
for a new one, the oldest without a key goes, then the longest idle connection of the tenant with
the most. Where a tenant holds more than half of all, one of its own goes before a connection that
had no time to show a key: else those of the others would end one another.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol

from hookline.api.rate_limits import network_of
from hookline.background import Periodic

CHECKED_EVERY = 1.0  # seconds
_TO_SHOW_A_KEY = 1.0  # seconds, in which a new connection is not ended for a tenant above its half
_MOST_LINGERING = 32  # of a tenant or a network: answered, and still sending what nobody reads
_DROPPED_EVERY = 0.01  # seconds, in which so many connections drop one part: 256 KiB at the most
_DROPPED_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What clients' connections are held to; the defaults are for whoever has no settings."""

    most: int = 256
    most_unknown: int = 256
    """From one network without a valid key; the oldest of them goes for a new one."""
    keep_alive: float = 75.0
    """Seconds that an idle connection is kept: proxies keep theirs for 60."""
    proxies: Sequence[IPv4Network | IPv6Network] = ()
    """Networks whose X-Forwarded-For is believed; their connections are many clients'."""
    origins: Sequence[str] = ()
    """Origins whose pages may read answers, also those to what is no request."""


class OpenConnection(Protocol):
    """A connection as it is seen here; `server.protocol` has the one kind."""

    tenant: str | None
    client: tuple[str, int] | None
    lingers: bool
    idle_since: float

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""

    def check(self, now: float) -> None:
        """End it where what is awaited is overdue."""

    def drop_more(self) -> None:
        """Read and discard a part."""

    def abort(self) -> None:
        """End it at once."""


class Connections:
    """The connections that are open."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._most = limits.most
        self._most_unknown = limits.most_unknown
        self._proxies = limits.proxies
        self._origins = frozenset(origin.encode() for origin in limits.origins)
        self._unknown: dict[OpenConnection, str] = {}  # the oldest first, each with its network
        self._of_network: dict[str, dict[OpenConnection, None]] = {}
        self._of_tenant: dict[str, dict[OpenConnection, None]] = {}
        self._lingering: dict[str, dict[OpenConnection, None]] = {}
        self._open = 0
        self._dropping: deque[OpenConnection] = deque()
        self._drop_timer: asyncio.TimerHandle | None = None

    def admit(self, new: OpenConnection) -> None:
        """Count a new connection; end another for it, or else itself, where there is no room."""
        network = self._network_of(new)
        others = self._of_network.get(network, {})
        if network and len(others) >= self._most_unknown:
            self._end(next(iter(others)))
        elif self._open >= self._most:
            self._end(self._least(new) or new)
            if self._open >= self._most:
                return
        self._open += 1
        self._unknown[new] = network
        self._of_network.setdefault(network, {})[new] = None

    def authenticated(self, connection: OpenConnection, tenant: str) -> None:
        """Note whose connection it is: a tenant's, or a key's that is bound to none."""
        if not self._forget(connection):
            return
        connection.tenant = tenant
        self._of_tenant.setdefault(tenant, {})[connection] = None

    def allows_origin(self, origin: bytes) -> bool:
        """Whether pages of this origin may read answers."""
        return origin in self._origins

    def left(self, connection: OpenConnection) -> None:
        """Count one less."""
        self._open -= self._forget(connection)
        if connection.lingers:
            _removed(self._lingering, self._owner_of(connection), connection)

    def lingers(self, connection: OpenConnection) -> None:
        """Count a connection that is read on after its answer; the oldest goes for a new one."""
        group = self._lingering.setdefault(self._owner_of(connection), {})
        group[connection] = None
        if len(group) > _MOST_LINGERING:
            self._end(next(iter(group)))

    def _owner_of(self, connection: OpenConnection) -> str:
        return connection.tenant or self._network_of(connection)

    def drop_more_later(self, connection: OpenConnection) -> None:
        """Have a connection read on that is read for its client's sake alone, in its turn.

        All together are read at a bounded rate: a hundred clients that send 16 MiB each, which
        nobody keeps, would take whole seconds from everybody else.
        """
        self._dropping.append(connection)
        if self._drop_timer is None:
            loop = asyncio.get_running_loop()
            self._drop_timer = loop.call_later(_DROPPED_EVERY, self._drop_some)

    def _drop_some(self) -> None:
        self._drop_timer = None
        for _ in range(min(_DROPPED_AT_ONCE, len(self._dropping))):
            self._dropping.popleft().drop_more()
        if self._dropping:
            loop = asyncio.get_running_loop()
            self._drop_timer = loop.call_later(_DROPPED_EVERY, self._drop_some)

    def checks(self) -> Periodic:
        """Return the work of ending what is overdue, for the owner to run."""
        return Periodic("connections", self._check, CHECKED_EVERY)

    async def _check(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in self._all():
            connection.check(now)

    def _all(self) -> list[OpenConnection]:
        return [*self._unknown, *(each for of_one in self._of_tenant.values() for each in of_one)]

    def _least(self, new: OpenConnection) -> OpenConnection | None:
        """Return the connection that is worth the least, if any may be ended for a new one."""
        unknown = next(iter(self._unknown), None)
        if unknown and new.idle_since - unknown.idle_since > _TO_SHOW_A_KEY:
            return unknown
        tenants = sorted(self._of_tenant.values(), key=len, reverse=True)
        if tenants and len(tenants[0]) > self._most // 2:
            return _longest_idle(tenants[0]) or next(iter(tenants[0]))
        return unknown or next(filter(None, map(_longest_idle, tenants)), None)

    def _end(self, connection: OpenConnection) -> None:
        self.left(connection)
        connection.abort()

    def _forget(self, connection: OpenConnection) -> bool:
        """Whether it was among these connections."""
        network = self._unknown.pop(connection, None)
        if network is not None:
            return _removed(self._of_network, network, connection)
        tenant = connection.tenant
        return tenant is not None and _removed(self._of_tenant, tenant, connection)

    def _network_of(self, connection: OpenConnection) -> str:
        """Return the network whose connections are counted together; of a proxy, none."""
        host = connection.client[0] if connection.client else ""
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return host
        return "" if any(address in each for each in self._proxies) else network_of(host)


def _longest_idle(of_one: dict[OpenConnection, None]) -> OpenConnection | None:
    idle = (each for each in of_one if not each.busy)
    return min(idle, key=lambda each: each.idle_since, default=None)


def _removed(
    groups: dict[str, dict[OpenConnection, None]], name: str, connection: OpenConnection
) -> bool:
    group = groups.get(name)
    if group is None or connection not in group:
        return False
    del group[connection]
    if not group:
        del groups[name]
    return True
