"""The only way out for webhooks: no request leaves except to addresses just vetted.

It follows no redirect, decompresses nothing, takes no proxy from the environment and keeps a
bounded part of an answer's body. Deadlines are the caller's: whatever is under way when a request
is cancelled is closed. Connections are kept for the next request, bounded in total and fairly
between origins. How many requests are under way is its callers' to bound: the lanes of an engine,
and the counts of test deliveries.
"""

import asyncio
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import httpx

from hookline.logs import get_logger
from hookline.security.egress.connect import Connection, Connector
from hookline.security.egress.errors import ConnectionLost, NameUnknown, TargetBlocked
from hookline.security.egress.messages import body_of, head_of, response_of
from hookline.security.egress.policy import Blocked, EgressPolicy, Unresolved, Vetted
from hookline.security.egress.proxy import Proxy
from hookline.security.egress.responses import Received, Spent
from hookline.security.egress.tls import client_tls
from hookline.security.egress.urls import Origin, origin_of

log = get_logger(__name__)

KEPT_BODY: Final = 4096  # bytes of an answer's body that are kept
READ_BODY: Final = 65_536  # bytes read at most, so that a connection can serve again
_OPENED: Final = 2e-4  # seconds of CPU for a connection
_RESUMED: Final = 3e-4  # seconds of CPU for TLS on it that goes on with an earlier session
_VERIFIED: Final = 6e-4  # seconds of CPU for TLS on it otherwise


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections are kept, and for how long."""

    idle: int = 256  # kept open with nothing under way
    idle_seconds: float = 30.0  # most servers give up on their side between 5 and 75 s
    age_seconds: float = 120.0  # how long a change in the DNS may go unnoticed, at most


class _OriginPool:
    """One origin's idle connections, the one used last on top."""

    __slots__ = ("busy", "idle")

    def __init__(self) -> None:
        self.busy = 0  # requests under way
        self.idle: list[Connection] = []


class Pool:
    """Idle connections by origin. `enter`, then `leave` exactly once.

    An origin keeps as many connections as it had in use at once: the one used last serves next, so
    that those it does not need any more grow old and are closed after `idle_seconds`. Once all
    origins together have more than `idle`, those that have more than an equal share give up the
    one that has been idle longest among theirs: an origin within its share loses none to others.
    """

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._origins: dict[Origin, _OriginPool] = {}
        self._idle: OrderedDict[Connection, _OriginPool] = OrderedDict()  # idle longest first
        self._keeping = 0  # origins that have an idle connection
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def enter(self, origin: Origin) -> None:
        """Note that a request to an origin begins."""
        if self._closed:
            raise ConnectionLost("the transport is closed", silent=False)
        of_origin = self._origins.get(origin)
        if of_origin is None:
            of_origin = self._origins[origin] = _OriginPool()
        of_origin.busy += 1

    def reuse(self, origin: Origin) -> Connection | None:
        """Return an idle connection that still looks alive, if there is one."""
        of_origin = self._origins[origin]
        now = asyncio.get_running_loop().time()
        while of_origin.idle:
            connection = of_origin.idle[-1]
            self._remove(connection, of_origin)
            if self._lasts(connection, now):
                return connection
            connection.abort()
        return None

    def leave(self, origin: Origin, connection: Connection | None = None) -> None:
        """Note that a request has ended; keep its connection if it can serve again."""
        of_origin = self._origins[origin]
        if connection is not None and connection.release():
            self._keep(of_origin, connection)
        of_origin.busy -= 1
        self._forget_unused(origin, of_origin)

    def forget(self, origin: Origin) -> None:
        """Close what is idle for an origin that is not in use: others may send to it as well."""
        of_origin = self._origins.get(origin)
        if of_origin is not None and not of_origin.busy:
            self._drop_all(origin, of_origin)

    def close(self) -> None:
        """Close everything idle, and keep nothing from now on."""
        self._closed = True
        for origin, of_origin in tuple(self._origins.items()):
            self._drop_all(origin, of_origin)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _keep(self, of_origin: _OriginPool, connection: Connection) -> None:
        if self._closed:
            connection.abort()
            return
        self._keeping += not of_origin.idle
        of_origin.idle.append(connection)
        self._idle[connection] = of_origin
        if len(self._idle) > self._limits.idle:
            self._drop_one()
        if self._sweeper is None:
            self._sweep_later()

    def _drop_one(self) -> None:
        """Close the one idle longest of the origins that have more than an equal share."""
        share = self._limits.idle // self._keeping
        for connection, of_origin in self._idle.items():
            if len(of_origin.idle) > share:
                self._remove(connection, of_origin)
                connection.abort()
                return

    def _drop_all(self, origin: Origin, of_origin: _OriginPool) -> None:
        for connection in tuple(of_origin.idle):
            self._remove(connection, of_origin)
            connection.abort()
        self._forget_unused(origin, of_origin)

    def _remove(self, connection: Connection, of_origin: _OriginPool) -> None:
        if of_origin.idle[-1] is connection:
            of_origin.idle.pop()
        else:
            of_origin.idle.remove(connection)
        del self._idle[connection]
        self._keeping -= not of_origin.idle

    def _lasts(self, connection: Connection, now: float) -> bool:
        limits = self._limits
        return (
            connection.usable
            and now - connection.idle_since <= limits.idle_seconds
            and now - connection.opened_at <= connection.share_of_age * limits.age_seconds
        )

    def _forget_unused(self, origin: Origin, of_origin: _OriginPool) -> None:
        if not of_origin.busy and not of_origin.idle:
            self._origins.pop(origin, None)

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(self._limits.idle_seconds / 2, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = asyncio.get_running_loop().time()
        for origin, of_origin in tuple(self._origins.items()):
            for connection in tuple(of_origin.idle):
                if not self._lasts(connection, now):
                    self._remove(connection, of_origin)
                    connection.abort()
            self._forget_unused(origin, of_origin)
        if self._idle:
            self._sweep_later()


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to what the policy allows, and keeps connections for the next request.

    `proxy` is the operator's own (EGRESS_PROXY); the environment's variables are never looked at.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        tls: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
        limits: PoolLimits | None = None,
    ) -> None:
        self._policy = policy
        self._connector = Connector(tls or client_tls(), proxy, keep=KEPT_BODY, read=READ_BODY)
        self._pool = Pool(limits or PoolLimits())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; return its response once it has ended, at most KEPT_BODY of its body.

        The response has the headers that mean something to Hookline, and in
        `extensions["defect"]` what was wrong with it, if anything was. Raises the exceptions of
        `errors`, but never once the status is known: what follows can only cut the rest short.

        Of the request's extensions, `tenant` says whose share of look-ups is taken where a
        connection has to be opened; when the `deadline` (asyncio's Timeout) that the task is in has
        expired, the response ends there, where its status is known. To `spent` is added what the
        request took beyond a usual one, also where it fails.
        """
        body = await body_of(request)
        received = Received()
        spent = request.extensions.get("spent") or Spent()
        try:
            await self._exchange(request, head_of(request), body, received, spent)
        except asyncio.CancelledError:
            if received.status is None or not expired(request.extensions.get("deadline")):
                raise
        return response_of(received)

    def forget(self, origin: Origin) -> None:
        """Close what is kept open for an origin."""
        self._pool.forget(origin)

    async def aclose(self) -> None:
        """Close what is kept open; requests under way end by themselves or by their deadline."""
        self._pool.close()

    async def _exchange(
        self, request: httpx.Request, head: bytes, body: bytes, received: Received, spent: Spent
    ) -> None:
        """Send and receive.

        A kept connection that is lost before a byte of a response came is replaced by a fresh one.
        """
        origin = origin_of(request.url)
        self._pool.enter(origin)
        connection: Connection | None = None
        try:
            connection = self._pool.reuse(origin)
            if connection is None or not await _asked(connection, head, body, received, spent):
                connection = await self._connect(
                    origin, request.extensions.get("tenant", ""), spent
                )
                await connection.ask(head, body, received, spent)
                self._connector.keep_session(origin, connection)
        except BaseException:
            if connection is not None:
                connection.abort()
            self._pool.leave(origin)
            raise
        self._pool.leave(origin, connection)

    async def _connect(self, origin: Origin, tenant: str, spent: Spent) -> Connection:
        match await self._policy.vet(origin, tenant):
            case Blocked(why=why):
                log.warning("egress.blocked", host=origin.host, port=origin.port, why=why)
                raise TargetBlocked("the target may not be connected to")
            case Unresolved(why=why):
                raise NameUnknown(why)
            case Vetted(addresses=addresses):
                secure = origin.scheme == "https"
                spent.seconds += _OPENED + (_VERIFIED if secure else 0.0)
                connection = await self._connector.connect(origin, addresses)
                if connection.resumed:
                    spent.seconds += _RESUMED - _VERIFIED
                return connection


async def _asked(
    connection: Connection, head: bytes, body: bytes, received: Received, spent: Spent
) -> bool:
    """Ask over a kept connection; tell whether it was still there to answer."""
    try:
        await connection.ask(head, body, received, spent)
    except ConnectionLost as lost:
        connection.abort()
        if lost.silent:
            return False
        raise
    return True


def expired(deadline: object) -> bool:
    """Whether the task was cancelled because its time is over, and by nobody else."""
    task = asyncio.current_task()
    alone = task is not None and task.cancelling() == 1
    return isinstance(deadline, asyncio.Timeout) and deadline.expired() and alone
