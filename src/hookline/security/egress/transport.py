"""httpx's transport with the guard in it: no request leaves except to addresses just vetted.

It follows no redirect, decompresses nothing, takes no proxy from the environment and keeps a
bounded part of an answer's body. Deadlines are the caller's: whatever is under way when a request
is cancelled is closed.
"""

import ssl
from collections.abc import AsyncIterator
from typing import Final

import httpx

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
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIXED_LINES = 4  # of a head: the request line, two headers of ours, and the empty one


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
        """Send one request; return once the answer's head is there, its body to be read.

        Raises the exceptions of `failures`. A kept connection that died before a byte of an answer
        had come is replaced by a fresh one, once.
        """
        origin = _origin(request)
        body = await request.aread()
        head = _head(request, origin, len(body))
        await self._pool.enter(origin)
        connection: Connection | None = None
        try:
            connection = self._pool.reuse(origin)
            answer = await _ask_again(connection, head, body)
            if connection is None or answer is None:
                connection = await self._connect(origin)
                answer = await connection.ask(head, body)
        except BaseException:
            if connection is not None:
                connection.abort()
            self._pool.leave(origin)
            raise
        stream = _Body(self._pool, origin, connection, answer)
        return httpx.Response(answer.status, headers=answer.headers, stream=stream)

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


class _Body(httpx.AsyncByteStream):
    """The kept part of an answer's body; closing it gives the connection back."""

    def __init__(self, pool: Pool, origin: Origin, connection: Connection, answer: Answer) -> None:
        self._pool = pool
        self._origin = origin
        self._connection: Connection | None = connection
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._connection is None:
            raise httpx.StreamClosed
        return self._connection.body(self._answer)

    async def aclose(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._pool.leave(self._origin, connection)


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


def _origin(request: httpx.Request) -> Origin:
    url = request.url
    if url.scheme not in _DEFAULT_PORTS:
        raise httpx.UnsupportedProtocol(f"{url.scheme}:// is not spoken here")
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or _DEFAULT_PORTS[url.scheme])


def _head(request: httpx.Request, origin: Origin, size: int) -> bytes:
    """Print the request's head; what httpx let into it cannot begin another line."""
    start = f"{request.method} {request.url.raw_path.decode('ascii')} HTTP/1.1\r\n"
    lines = [f"{start}host: {origin.authority}\r\ncontent-length: {size}\r\n".encode("ascii")]
    for name, value in request.headers.raw:
        if name.lower() not in (b"host", b"content-length"):
            lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n")
    head = b"".join(lines)
    if not head.count(b"\r") == head.count(b"\n") == len(lines) // 4 + _FIXED_LINES:
        raise httpx.LocalProtocolError("a header holds a line break")
    return head
