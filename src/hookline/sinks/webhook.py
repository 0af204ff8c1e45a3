"""Copies by POST to a customer's HTTPS endpoint, signed, once per attempt.

One deadline covers the whole attempt: name, connection, TLS, request, head and body of the answer.
A status of 200–299 delivers, and nothing that follows it can undo that.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, cast

import httpx

from hookline import __version__
from hookline.domain.deliveries import ErrorKind, Sent, Verdict
from hookline.domain.retry_after import parse_retry_after
from hookline.domain.targets import Target, WebhookTarget
from hookline.errors import InvalidInput
from hookline.logs import get_logger
from hookline.security.egress import failures
from hookline.security.egress.targets import parse_url
from hookline.security.egress.transport import KEPT_BODY, GuardedTransport
from hookline.security.signatures import standard_webhooks, x_signature
from hookline.sinks.base import Shipment

log = get_logger(__name__)

USER_AGENT: Final = f"Hookline/{__version__}"

_LONGEST_DETAIL: Final = 300  # characters in a log line
_GONE: Final = 410
_TRY_AGAIN: Final = frozenset({408, 425, 429, *range(500, 600)})
# The narrowest first: ours are kinds of httpx's, and a transport that is not ours raises those.
_KINDS: Final[tuple[tuple[type[Exception], ErrorKind], ...]] = (
    (failures.TargetBlocked, ErrorKind.BLOCKED),
    (failures.NameUnknown, ErrorKind.DNS),
    (failures.TlsFailed, ErrorKind.TLS),
    (httpx.ConnectError, ErrorKind.REFUSED),
    (httpx.TimeoutException, ErrorKind.TIMEOUT),
    (httpx.NetworkError, ErrorKind.RESET),
    (httpx.RemoteProtocolError, ErrorKind.PROTOCOL),
    (httpx.ProxyError, ErrorKind.REFUSED),
    (httpx.HTTPError, ErrorKind.INTERNAL),
)
_VERDICTS: Final = {ErrorKind.BLOCKED: Verdict.BLOCKED, ErrorKind.INTERNAL: Verdict.INTERNAL}


class WebhookSink:
    """The sink for WEBHOOK integrations; see `sinks.base.Sink` for what every sink promises.

    `timeout`: seconds for a whole attempt. The transport becomes the sink's, which closes it.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        timeout: float = 5.0,
        user_agent: str = USER_AGENT,
    ) -> None:
        self._transport = transport
        self._timeout = timeout
        self._user_agent = user_agent

    async def send(self, shipment: Shipment) -> Sent:
        """Make one attempt and say what came of it."""
        target = shipment.target
        if not isinstance(target, WebhookTarget):
            raise TypeError(f"the webhook sink can't send to {type(target).__name__}")
        started_at, began = datetime.now(UTC), time.perf_counter()
        heard = _Heard()
        error: ErrorKind | None = None
        try:
            async with asyncio.timeout(self._timeout):
                await self._exchange(self._request(shipment, target, started_at), heard)
        except TimeoutError:
            error = ErrorKind.TIMEOUT
        except httpx.HTTPError as failure:
            error = _kind(failure)
            self._tell_operator(shipment, target, error, failure)
        except InvalidInput:  # a URL that was kept under earlier rules
            error = ErrorKind.BLOCKED
        verdict, error = _judge(heard.status, error)
        return Sent(
            verdict=verdict,
            started_at=started_at,
            duration_ms=round((time.perf_counter() - began) * 1000),
            error=error,
            status_code=heard.status,
            response=bytes(heard.body),
            retry_after=_retry_after(heard.retry_after),
        )

    async def forget(self, target: Target) -> None:
        """Close what is kept open for the target's origin."""
        if isinstance(target, WebhookTarget) and isinstance(self._transport, GuardedTransport):
            try:
                self._transport.forget(parse_url(target.url).origin)
            except InvalidInput:
                return  # such a target was never connected to

    async def aclose(self) -> None:
        """Close every connection that is kept."""
        await self._transport.aclose()

    def _request(
        self, shipment: Shipment, target: WebhookTarget, started_at: datetime
    ) -> httpx.Request:
        prepared = _prepare(target.url, target.headers, self._user_agent)
        message_id, timestamp = str(shipment.delivery_id), int(started_at.timestamp())
        body = shipment.body
        headers = [
            *prepared.headers,
            (b"x-signature", x_signature(target.secrets[0], body).encode()),
            (b"webhook-id", message_id.encode()),
            (b"webhook-timestamp", b"%d" % timestamp),
            (
                b"webhook-signature",
                standard_webhooks(target.secrets, message_id, timestamp, body).encode(),
            ),
        ]
        # A stream, and not content: httpx then adds no header of its own and copies nothing.
        stream = httpx.ByteStream(body)
        return httpx.Request("POST", prepared.url, headers=headers, stream=stream)

    def _tell_operator(
        self, shipment: Shipment, target: WebhookTarget, error: ErrorKind, failure: httpx.HTTPError
    ) -> None:
        """Log the detail, which the customer is not told: it may speak of our own network."""
        log.info(
            "webhook.unanswered",
            delivery=str(shipment.delivery_id),
            host=parse_url(target.url).origin.authority,  # and not the URL, which may hold a key
            error=error.value,
            detail=str(failure)[:_LONGEST_DETAIL],
        )

    async def _exchange(self, request: httpx.Request, heard: "_Heard") -> None:
        response = await self._transport.handle_async_request(request)
        heard.status = response.status_code
        if heard.status in _TRY_AGAIN:
            heard.retry_after = response.headers.get("retry-after")
        stream = cast("httpx.AsyncByteStream", response.stream)
        try:
            async for chunk in stream:
                if len(heard.body) == KEPT_BODY:
                    break  # ours never gives more, and then ends when the connection can be kept
                heard.body += chunk[: KEPT_BODY - len(heard.body)]
        finally:
            await stream.aclose()


class _Heard:
    """What of an answer had come, also when the attempt was cut short."""

    __slots__ = ("body", "retry_after", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.retry_after: str | None = None
        self.body = bytearray()


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is the same in every request to a target."""

    url: httpx.URL
    headers: tuple[tuple[bytes, bytes], ...]


@lru_cache(maxsize=4096)
def _prepare(url: str, headers: tuple[tuple[str, str], ...], user_agent: str) -> _Prepared:
    try:
        parsed = httpx.URL(parse_url(url).url)
    except httpx.InvalidURL as error:
        raise failures.TargetBlocked(str(error)) from error
    own = (("content-type", "application/json"), ("user-agent", user_agent))
    return _Prepared(parsed, tuple((n.encode(), v.encode()) for n, v in (*own, *headers)))


def _judge(status: int | None, error: ErrorKind | None) -> tuple[Verdict, ErrorKind | None]:
    """Turn a status, a failure or both into what the attempt means: the contract's table."""
    if status is not None and httpx.codes.is_success(status):
        return Verdict.DELIVERED, None
    if error is not None:
        return _VERDICTS.get(error, Verdict.RETRY), error
    if status == _GONE:
        return Verdict.GONE, ErrorKind.STATUS
    return (Verdict.RETRY if status in _TRY_AGAIN else Verdict.REJECTED), ErrorKind.STATUS


def _kind(failure: httpx.HTTPError) -> ErrorKind:
    return next(kind for exception, kind in _KINDS if isinstance(failure, exception))


def _retry_after(value: str | None) -> float | None:
    return None if value is None else parse_retry_after(value, datetime.now(UTC))
