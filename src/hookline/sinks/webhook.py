"""The sink for HTTPS webhooks: a signed POST, once per attempt.

One deadline covers the whole attempt: name, connection, TLS, request, and all of the response.
A status of 200–299 delivers, and nothing behind its status line can undo that, not even the
deadline. Behind any other status the deadline makes the attempt a timeout.
"""

import asyncio
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from weakref import WeakKeyDictionary

import httpx
import msgspec

from hookline import __version__
from hookline.domain.deliveries import ErrorKind, ResponseDefect, Sent, TlsReason, Verdict
from hookline.domain.retries import parse_retry_after
from hookline.domain.targets import Target, WebhookTarget
from hookline.errors import InvalidInput
from hookline.logs import get_logger
from hookline.security.egress import errors
from hookline.security.egress.messages import PreparedRequest
from hookline.security.egress.responses import Spent
from hookline.security.egress.transport import KEPT_BODY, GuardedTransport
from hookline.security.egress.urls import origin_of, parse_url
from hookline.security.signatures import Signer
from hookline.sinks import Shipment
from hookline.tracing import trace_headers

log = get_logger(__name__)

USER_AGENT: Final = f"Hookline/{__version__}"

_LONGEST_DETAIL: Final = 300  # characters in a log line
_TRY_AGAIN: Final = frozenset({408, 425, 429, *range(500, 600)})
# The narrowest first: ours are kinds of httpx's, and a transport that is not ours raises those.
_KINDS: Final[tuple[tuple[type[Exception], ErrorKind], ...]] = (
    (errors.TargetBlocked, ErrorKind.BLOCKED),
    (errors.NameUnknown, ErrorKind.DNS),
    (errors.TlsFailed, ErrorKind.TLS),
    (httpx.ConnectError, ErrorKind.REFUSED),
    (httpx.TimeoutException, ErrorKind.TIMEOUT),
    (httpx.NetworkError, ErrorKind.RESET),
    (httpx.RemoteProtocolError, ErrorKind.PROTOCOL),
    (httpx.ProxyError, ErrorKind.REFUSED),
    (httpx.HTTPError, ErrorKind.INTERNAL),
)
_VERDICTS: Final = {ErrorKind.BLOCKED: Verdict.BLOCKED, ErrorKind.INTERNAL: Verdict.INTERNAL}


class WebhookSink:
    """The sink for WEBHOOK integrations; see `hookline.sinks.Sink` for what every sink promises.

    `timeout`: seconds for a whole attempt. The transport becomes the sink's, which closes it. It is
    the guarded one wherever customers' URLs are sent to; any of httpx's fits.
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
        self._prepared: WeakKeyDictionary[WebhookTarget, _Prepared] = WeakKeyDictionary()

    async def send(self, shipment: Shipment) -> Sent:
        """Make one attempt and say what came of it."""
        target = shipment.target
        if not isinstance(target, WebhookTarget):
            raise TypeError(f"the webhook sink can't send to {type(target).__name__}")
        started_at, began = datetime.now(UTC), time.perf_counter()
        answer, spent = _Answer(), Spent()
        headers: tuple[tuple[str, str], ...] = ()
        error: ErrorKind | None = None
        tls: TlsReason | None = None
        try:
            async with asyncio.timeout(self._timeout) as deadline:
                request = self._request(target, shipment, int(started_at.timestamp()))
                request.extensions.update(deadline=deadline, spent=spent)
                if shipment.tells_headers:
                    headers = tuple((n.decode(), v.decode()) for n, v in request.headers.raw)
                await self._exchange(request, answer)
                if deadline.expired():
                    error = ErrorKind.TIMEOUT
        except TimeoutError:
            error = ErrorKind.TIMEOUT
        except httpx.HTTPError as failure:
            error = _kind(failure)
            tls = failure.reason if isinstance(failure, errors.TlsFailed) else None
            self._tell_operator(shipment, target, error, failure)
        except InvalidInput:  # a URL that was kept under earlier rules
            error = ErrorKind.BLOCKED
        duration = round((time.perf_counter() - began) * 1000)
        sent = _sent(answer, error, tls, started_at, duration)
        if sent.verdict is Verdict.TOO_LARGE:
            sent = msgspec.structs.replace(sent, body_bytes=len(shipment.body))
        if headers or spent.seconds:
            sent = msgspec.structs.replace(sent, headers=headers, spent=spent.seconds)
        return sent

    async def _exchange(self, request: httpx.Request, answer: "_Answer") -> None:
        """Send the request, and read a bounded part of its response as the bytes come."""
        answer.response = response = await self._transport.handle_async_request(request)
        answer.defect = response.extensions.get("defect")
        stream = response.stream
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("the transport's response is not for asyncio")
        try:
            async for part in stream:
                answer.body += part
                if len(answer.body) >= KEPT_BODY:
                    break
        except (httpx.NetworkError, httpx.RemoteProtocolError):  # the status stands
            answer.defect = ResponseDefect.TRUNCATED
        finally:
            await stream.aclose()

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

    def _request(self, target: WebhookTarget, shipment: Shipment, timestamp: int) -> httpx.Request:
        """Make the request: what is the same each time, and this attempt's own headers."""
        prepared = self._prepared.get(target)
        if prepared is None:  # it goes with the target, secrets and all
            prepared = self._prepared[target] = _prepared(target, self._user_agent)
        body, message_id, signer = shipment.body, str(shipment.delivery_id), prepared.signer
        signature = signer.standard_webhooks(message_id, timestamp, body)
        own = [
            (b"content-length", b"%d" % len(body)),
            (b"x-signature", signer.x_signature(body).encode()),
            (b"webhook-id", message_id.encode()),
            (b"webhook-timestamp", b"%d" % timestamp),
            (b"webhook-attempt", b"%d" % shipment.attempt),
            (b"webhook-signature", signature.encode()),
        ]
        if shipment.replay is not None:
            own.append((b"x-hookline-replay", str(shipment.replay).encode()))
        if shipment.attempt > 1 and shipment.retry_reason is not None:
            own.append((b"webhook-retry-reason", shipment.retry_reason.encode()))
        if shipment.trace_context is not None:
            headers = trace_headers(shipment.trace_context)
            own += [(name.encode(), value.encode()) for name, value in headers]
        extensions = {"tenant": shipment.pbx or shipment.company}
        return PreparedRequest(prepared.url, prepared.headers + own, body, extensions)

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


class _Answer(msgspec.Struct):
    """What came back so far; `body` may be longer than what is kept of it."""

    response: httpx.Response | None = None
    body: bytes = b""
    defect: ResponseDefect | None = None


class _Prepared(msgspec.Struct, frozen=True):
    """What is the same in every request to a target: its URL, the first headers, the keys."""

    url: httpx.URL
    headers: list[tuple[bytes, bytes]]
    signer: Signer


def _prepared(target: WebhookTarget, user_agent: str) -> _Prepared:
    endpoint = parse_url(target.url)
    try:
        url = httpx.URL(endpoint.url)
    except httpx.InvalidURL as error:
        raise errors.TargetBlocked(str(error)) from error
    if origin_of(url) != endpoint.origin:
        raise errors.TargetBlocked("httpx reads the URL in another way")
    headers = {
        "host": endpoint.origin.authority,
        "content-type": "application/json",
        "user-agent": user_agent,
    }
    pairs = [*headers.items(), *target.headers]
    encoded = [(name.encode(), value.encode()) for name, value in pairs]
    return _Prepared(url, encoded, Signer(target.secrets))


def _sent(
    answer: _Answer,
    error: ErrorKind | None,
    tls: TlsReason | None,
    started_at: datetime,
    duration_ms: int,
) -> Sent:
    """Judge what came of a response, and the failure if there was one."""
    response = answer.response
    status = None if response is None else response.status_code
    verdict, error = _judge(status, error)
    return Sent(
        verdict=verdict,
        started_at=started_at,
        duration_ms=duration_ms,
        error=error,
        status_code=status,
        response=answer.body[:KEPT_BODY],
        retry_after=_retry_after(response) if response and status in _TRY_AGAIN else None,
        response_defect=answer.defect,
        tls_reason=tls,
    )


def _judge(status: int | None, error: ErrorKind | None) -> tuple[Verdict, ErrorKind | None]:
    """Turn a status, a failure or both into what the attempt means: the contract's table."""
    if status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Verdict.DELIVERED, None
    if error is not None:
        return _VERDICTS.get(error, Verdict.RETRY), error
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Verdict.TOO_LARGE, ErrorKind.TOO_LARGE
    if status == HTTPStatus.GONE:
        return Verdict.GONE, ErrorKind.STATUS
    return (Verdict.RETRY if status in _TRY_AGAIN else Verdict.REJECTED), ErrorKind.STATUS


def _kind(failure: httpx.HTTPError) -> ErrorKind:
    return next(kind for exception, kind in _KINDS if isinstance(failure, exception))


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds that a response asks to wait; several headers are one, with commas."""
    values = response.headers.get_list("retry-after")
    return parse_retry_after(", ".join(values), datetime.now(UTC)) if values else None
