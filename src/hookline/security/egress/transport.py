"""The only way out for webhooks: no request leaves except to addresses just vetted.

It follows no redirect, decompresses nothing, takes no proxy from the environment and keeps a
bounded part of an answer's body. Deadlines are the caller's: whatever is under way when a request
is cancelled is closed.
"""

import ssl
from typing import Final

from hookline.logs import get_logger
from hookline.security.egress.connect import Connector
from hookline.security.egress.connection import Connection
from hookline.security.egress.failures import ConnectionLost, NameUnknown, TargetBlocked
from hookline.security.egress.policy import Blocked, EgressPolicy, Unresolved, Vetted
from hookline.security.egress.pool import Pool, PoolLimits
from hookline.security.egress.proxy import Proxy
from hookline.security.egress.responses import Response
from hookline.security.egress.targets import Origin
from hookline.security.egress.tls import client_tls

log = get_logger(__name__)

KEPT_BODY: Final = 4096  # bytes of an answer's body that are kept
READ_BODY: Final = 65_536  # bytes read at most, so that a connection can serve again


class GuardedTransport:
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

    async def exchange(
        self, origin: Origin, head: bytes, body: bytes, response: Response, tenant: str = ""
    ) -> None:
        """Send one request and return when its response has ended; it is filled as it comes.

        `head` is whole, its empty line included, and says what `body` is. Raises the exceptions of
        `failures`, but never once the status is known: what follows can only cut the rest short. A
        kept connection that died before a byte of a response had come is replaced by a fresh one,
        once. `tenant`: whose share of look-ups is taken where a connection has to be opened.
        """
        await self._pool.enter(origin)
        connection: Connection | None = None
        try:
            connection = self._pool.reuse(origin)
            if connection is None or not await _asked(connection, head, body, response):
                connection = await self._connect(origin, tenant)
                await connection.ask(head, body, response)
        except BaseException:
            if connection is not None:
                connection.abort()
            self._pool.leave(origin)
            raise
        self._pool.leave(origin, connection)

    def forget(self, origin: Origin) -> None:
        """Close what is kept open for an origin."""
        self._pool.forget(origin)

    async def aclose(self) -> None:
        """Close what is kept open; requests under way end by themselves or by their deadline."""
        self._pool.close()

    async def _connect(self, origin: Origin, tenant: str) -> Connection:
        match await self._policy.vet(origin, tenant):
            case Blocked(why=why):
                log.warning("egress.blocked", host=origin.host, port=origin.port, why=why)
                raise TargetBlocked("the target may not be connected to")
            case Unresolved(why=why):
                raise NameUnknown(why)
            case Vetted(addresses=addresses):
                return await self._connector.connect(origin, addresses)


async def _asked(connection: Connection, head: bytes, body: bytes, response: Response) -> bool:
    """Ask over a kept connection; tell whether it was still there to answer."""
    try:
        await connection.ask(head, body, response)
    except ConnectionLost as lost:
        connection.abort()
        if lost.silent:
            return False
        raise
    return True
