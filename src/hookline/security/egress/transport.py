"""The only way out for webhooks: no request leaves except to addresses just vetted.

It follows no redirect, decompresses nothing, takes no proxy from the environment and keeps a
bounded part of an answer's body. Deadlines are the caller's: whatever is under way when a request
is cancelled is closed.
"""

import ssl
from typing import Final

from hookline.logs import get_logger
from hookline.security.egress.connect import Connector
from hookline.security.egress.connection import Answer, Connection
from hookline.security.egress.failures import ConnectionLost, NameUnknown, TargetBlocked
from hookline.security.egress.policy import Blocked, EgressPolicy, Unresolved, Vetted
from hookline.security.egress.pool import Pool, PoolLimits
from hookline.security.egress.proxy import Proxy
from hookline.security.egress.targets import Origin
from hookline.security.egress.trust import client_tls

log = get_logger(__name__)

KEPT_BODY: Final = 4096  # bytes of an answer's body that are kept
READ_BODY: Final = 65_536  # bytes read at most, so that a connection can serve again


class Heard:
    """What of an answer had come, also when its request was cut short."""

    __slots__ = ("answer",)

    def __init__(self) -> None:
        self.answer: Answer | None = None


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

    async def exchange(self, origin: Origin, head: bytes, body: bytes, heard: Heard) -> None:
        """Send one request, and return when its answer has ended; `heard` gets it as it comes.

        `head` is whole, its empty line included, and says what `body` is. Raises the exceptions of
        `failures`, but never once the answer's head is there: what follows can only cut it short. A
        kept connection that died before a byte of an answer had come is replaced by a fresh one,
        once.
        """
        await self._pool.enter(origin)
        connection: Connection | None = None
        try:
            connection = self._pool.reuse(origin)
            answer = await _ask_again(connection, head, body)
            if connection is None or answer is None:
                connection = await self._connect(origin)
                answer = await connection.ask(head, body)
            heard.answer = answer
            if not answer.complete:
                await connection.finish(answer)
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

    async def _connect(self, origin: Origin) -> Connection:
        match await self._policy.vet(origin):
            case Blocked(why=why):
                log.warning("egress.blocked", host=origin.host, port=origin.port, why=why)
                raise TargetBlocked("the target may not be connected to")
            case Unresolved(why=why):
                raise NameUnknown(why)
            case Vetted(addresses=addresses):
                return await self._connector.connect(origin, addresses)


async def _ask_again(connection: Connection | None, head: bytes, body: bytes) -> Answer | None:
    """Ask over a kept connection; None when there is none, or it died without a word."""
    if connection is None:
        return None
    try:
        return await connection.ask(head, body)
    except ConnectionLost as lost:
        connection.abort()
        if lost.silent:
            return None
        raise
