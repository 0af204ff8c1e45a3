"""SQS through aioboto3: one attempt a call, an HTTP session of ours, nothing from the environment.

Importing this takes hundreds of milliseconds (boto3, botocore, aiohttp): sink.py does it in a
thread, at the first send. The session replaces aiobotocore's own, which follows redirects, reads
answers of any length, knows proxies and loads its certificates on the event loop
(docs/decisions/0018-sqs-session.md).
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from io import BytesIO
from typing import Any, Protocol, Self

import aioboto3
import aiohttp
import orjson
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from aiohttp import http_exceptions
from botocore.configprovider import (
    BOTOCORE_DEFAUT_SESSION_VARIABLES,
    ConfigValueStore,
    ConstantProvider,
)
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from multidict import CIMultiDict
from yarl import URL

from hookline import __version__
from hookline.domain.deliveries import ErrorKind, TlsReason
from hookline.errors import forget_tracebacks
from hookline.logs import get_logger
from hookline.security.egress.errors import tls_reason
from hookline.security.egress.policy import Blocked, EgressPolicy, Unresolved, Vetted
from hookline.security.egress.tls import client_tls
from hookline.security.egress.urls import Origin
from hookline.sinks.sqs.clients import ClientKey
from hookline.sinks.sqs.messages import Answer, Entry, refused, taken, unanswered

log = get_logger(__name__)
_LONGEST_DETAIL = 300  # characters in a log line
_ODD_JSON = (AttributeError, KeyError, TypeError, ValueError)  # of those who read other shapes
_MOST_READ = 256 * 1024  # bytes; SQS's answer to ten messages has about 4 KiB
_IPV4 = 4
_LARGE = 256 * 1024  # bytes
_KEEP_ALIVE = (
    12.0  # seconds; less than AWS keeps an idle connection, so that none is met half-closed
)
_UNREACHABLE = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN}


class Factory:
    """Makes clients. Not for two threads at once: botocore's session isn't."""

    def __init__(self, policy: EgressPolicy | None, tls: ssl.SSLContext | None) -> None:
        self._session = aioboto3.Session(botocore_session=_bare_session())
        resolver = None if policy is None else VettedResolver(policy)
        self._http_session = partial(_http_session, tls or client_tls(), resolver)

    def make(self, key: ClientKey) -> "AwsClient":
        """Return a client; no I/O, but 11–150 ms of work: not for the event loop."""
        context = self._session.client(
            "sqs",
            region_name=key.region,
            endpoint_url=key.endpoint,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            config=AioConfig(
                http_session_cls=self._http_session,
                retries={"total_max_attempts": 1, "mode": "legacy"},  # legacy: 25 µs less a message
                parameter_validation=False,  # what is sent is built in one place, messages.py
                signature_version="v4",
                proxies={},
                ignore_configured_endpoint_urls=True,
                user_agent=f"Hookline/{__version__}",
            ),
        )
        boto = asyncio.run(context.__aenter__())
        boto.meta.events.register("before-parameter-build.sqs.SendMessageBatch", _serialise)
        boto.meta.events.register("before-call.sqs.SendMessageBatch", _use_serialised)
        return AwsClient(boto)


class AwsClient:
    """One AWS key in one region."""

    def __init__(self, boto: Any) -> None:  # noqa: ANN401  botocore builds its classes at run time
        self._boto = boto

    async def send(self, queue_url: str, entries: Sequence[Entry]) -> list[Answer]:
        """Send a batch in one request; return each entry's answer, in order."""
        for index, entry in enumerate(entries):
            entry["Id"] = str(index)
        try:
            result = await self._boto.send_message_batch(QueueUrl=queue_url, Entries=entries)
            return _answers(result, len(entries))
        except (ClientError, Unanswered, BotoCoreError, ResponseParserError, *_ODD_JSON) as error:
            answer = _failure(queue_url, error)
            forget_tracebacks(error)
            return [answer] * len(entries)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._boto.close()


def _failure(queue_url: str, error: Exception) -> Answer:
    """Return what every message of a batch that failed as a whole is answered."""
    match error:
        case ClientError():
            return _refusal(error)
        case Unanswered():
            _tell_operator(queue_url, error)
            return unanswered(error.kind, tls=error.tls)
        case BotoCoreError() | ResponseParserError():
            _tell_operator(queue_url, error)
        case _:
            log.info("sqs.odd_answer", queue=queue_url, exc_info=error)
    return unanswered(ErrorKind.PROTOCOL)


def _tell_operator(queue_url: str, error: Exception) -> None:
    """Log what a library says, which the customer is not told: it may speak of our own network."""
    log.info("sqs.unanswered", queue=queue_url, detail=str(error)[:_LONGEST_DETAIL])


def _serialise(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    """Print the request at once, and leave botocore's own, field by field, nothing to walk over.

    That walk is the greatest single cost of a batch: 40 µs a message of botocore's 90.
    """
    context["hookline_body"] = orjson.dumps(params)
    params.clear()


def _use_serialised(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    """Sign and send what `_serialise` printed: the body of AWS's JSON protocol is just that."""
    params["body"] = context["hookline_body"]


def _refusal(error: ClientError) -> Answer:
    what = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return refused(
        str(what.get("Code", "")), str(what.get("Message", "")), status=status, sender_fault=True
    )


def _answers(result: dict[str, Any], count: int) -> list[Answer]:  # Any: AWS's answer, parsed
    status = result["ResponseMetadata"]["HTTPStatusCode"]
    answers = {entry.get("Id"): taken(entry, status) for entry in _entries(result, "Successful")}
    for entry in _entries(result, "Failed"):
        answers[entry.get("Id")] = refused(
            str(entry.get("Code", "")),
            str(entry.get("Message", "")),
            status=None,
            sender_fault=bool(entry.get("SenderFault")),
        )
    missing = unanswered(ErrorKind.PROTOCOL, "Its answer does not name this message.")
    return [answers.get(str(index), missing) for index in range(count)]


def _entries(result: dict[str, Any], kind: str) -> list[dict[str, Any]]:  # Any: as above
    """Return the entries of one kind; a null among them is None."""
    return [entry for entry in result.get(kind) or () if entry]


def _http_session(
    tls: ssl.SSLContext, resolver: "VettedResolver | None", **_: object
) -> "HttpSession":
    """Stand in for the class that botocore makes with its own timeouts, proxies and pools."""
    return HttpSession(tls, resolver)


def _bare_session() -> AioSession:
    """Return a session in which every setting has its default, whatever AWS_… variables say."""
    session = AioSession()
    values = {
        name: ConstantProvider(default)
        for name, (_, _, default, _) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    for file in ("config_file", "credentials_file"):
        values[file] = ConstantProvider(os.devnull)
    session.register_component("config_store", ConfigValueStore(mapping=values))
    return session


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
