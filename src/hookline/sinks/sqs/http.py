"""The HTTP under botocore: one request, one answer, nothing taken from the environment.

It replaces aiobotocore's own, which follows redirects, reads answers of any length, knows proxies
and loads its certificates on the event loop (docs/decisions/0018-sqs-session.md). Its import is
slow (aiohttp's): aws.py alone does it.
"""

import errno
import socket
import ssl
from http import HTTPStatus
from io import BytesIO
from typing import Any, Protocol, Self

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from aiohttp import http_exceptions
from multidict import CIMultiDict
from yarl import URL

from hookline.domain.deliveries import ErrorKind, TlsReason
from hookline.logs import get_logger
from hookline.security.egress.errors import tls_reason
from hookline.security.egress.policy import Blocked, EgressPolicy, Unresolved, Vetted
from hookline.security.egress.urls import Origin

log = get_logger(__name__)

_MOST_READ = 256 * 1024  # bytes; SQS's answer to ten messages has about 4 KiB
_IPV4 = 4
_LARGE = 256 * 1024  # bytes
_KEEP_ALIVE = (
    12.0  # seconds; less than AWS keeps an idle connection, so that none is met half-closed
)


class Unanswered(Exception):
    """No whole answer came; `kind` is why. It stays inside this package."""

    def __init__(self, kind: ErrorKind, detail: str, tls: TlsReason | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.tls = tls


class PreparedRequest(Protocol):
    """What botocore hands over: signed, serialised, ready."""

    method: str
    url: str
    headers: Any  # botocore's HeadersDict; it ships no types
    body: bytes


class Body:
    """An answer's body, already read: what botocore awaits once more."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self) -> bytes:
        """Return all of it."""
        return self._content


class VettedResolver(aiohttp.abc.AbstractResolver):
    """Gives aiohttp only addresses that the egress policy allows; it connects to nothing else.

    A private address behind an AWS name (a VPC endpoint's) is for the operator to allow.
    """

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[aiohttp.abc.ResolveResult]:
        """Return every address of the host; raise OSError or `Unanswered` where there is none."""
        del family  # the policy vets both; so may be connected to both
        match await self._policy.vet(Origin("https", host, port)):
            case Vetted(addresses=addresses):
                return [_resolved(host, port, str(a), a.version) for a in addresses]
            case Unresolved(why=why):
                raise OSError(socket.EAI_NONAME, why)
            case Blocked(why=why):
                log.warning("sqs.blocked", host=host, why=why)
                raise Unanswered(ErrorKind.BLOCKED, "its address is not a public one")

    async def close(self) -> None:
        """Leave the policy open: it belongs to whoever made it."""


def _resolved(host: str, port: int, address: str, version: int) -> aiohttp.abc.ResolveResult:
    return aiohttp.abc.ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET if version == _IPV4 else socket.AF_INET6,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST,
    )


class HttpSession:
    """One client's connections, with the four methods that botocore's endpoint calls.

    Connections are not limited here: the sink bounds the batches in flight.
    """

    def __init__(self, tls: ssl.SSLContext, resolver: aiohttp.abc.AbstractResolver | None) -> None:
        self._tls = tls
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, request: PreparedRequest) -> AioAWSResponse:
        """Send a request once and read its bounded answer; raise `Unanswered` where none came."""
        try:
            return await self._exchange(request)
        except (aiohttp.ClientError, http_exceptions.HttpProcessingError, OSError) as error:
            raise Unanswered(_kind(error), _detail(error), _tls_reason(error)) from error

    async def _exchange(self, request: PreparedRequest) -> AioAWSResponse:
        headers: CIMultiDict[str] = CIMultiDict(
            (name, value.decode() if isinstance(value, bytes) else value)
            for name, value in request.headers.items()
        )
        headers["Accept-Encoding"] = "identity"
        async with self._connected().request(
            request.method,
            URL(request.url, encoded=True),
            data=_payload(request.body),
            headers=headers,
            allow_redirects=False,
        ) as response:
            content = await _read(response)
            fields = {name.decode().lower(): value.decode() for name, value in response.raw_headers}
            return AioAWSResponse(request.url, response.status, fields, Body(content))

    def _connected(self) -> aiohttp.ClientSession:
        """Return the connections of the running loop, made at first use: it is cheap."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._tls, resolver=self._resolver, limit=0, keepalive_timeout=_KEEP_ALIVE
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(),  # the sink holds the one deadline over all of it
                skip_auto_headers={"Content-Type", "User-Agent"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def _payload(body: bytes) -> bytes | BytesIO:
    """Return what aiohttp writes in pieces where it is large, and in one go where it isn't."""
    return BytesIO(body) if len(body) > _LARGE else body


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > _MOST_READ:
            raise Unanswered(ErrorKind.PROTOCOL, f"the answer is longer than {_MOST_READ} bytes")
    if response.status == HTTPStatus.OK and not content.lstrip().startswith(b"{"):
        raise Unanswered(ErrorKind.PROTOCOL, "the answer is not a JSON object")
    return bytes(content)


_UNREACHABLE = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN}


def _kind(error: Exception) -> ErrorKind:  # noqa: PLR0911  one answer for each kind of failure
    match error:
        case TimeoutError():
            return ErrorKind.TIMEOUT
        case aiohttp.ClientConnectorDNSError():
            return ErrorKind.DNS
        case aiohttp.ClientSSLError():
            return ErrorKind.TLS
        case aiohttp.ClientConnectorError(os_error=OSError(errno=number)):
            return ErrorKind.REFUSED if number in _UNREACHABLE else ErrorKind.RESET
        case aiohttp.ClientResponseError() | http_exceptions.HttpProcessingError():
            return ErrorKind.PROTOCOL
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
            return ErrorKind.RESET
        case _:
            return ErrorKind.PROTOCOL


def _tls_reason(error: Exception) -> TlsReason | None:
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLError() as cause):
            return tls_reason(cause)
        case aiohttp.ClientConnectorSSLError(os_error=ssl.SSLError() as cause):
            return tls_reason(cause)
        case _:
            return None


def _detail(error: Exception) -> str:
    return str(error) or type(error).__name__
