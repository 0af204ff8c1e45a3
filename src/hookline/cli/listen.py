"""`hookline listen`: a receiver of deliveries, for people who write receivers.

Signatures are checked as receivers do, from what the documentation says alone.
"""

import base64
import binascii
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hookline.cli import terminal
from hookline.domain.documents import canonical, parse_document
from hookline.errors import HooklineError

if TYPE_CHECKING:
    import socket

    from hookline.server.signals import Stopping

_GRACE = 1.0  # seconds for the last answers; what misses one is retried
_TOLERANCE = 300.0  # seconds that Standard Webhooks lets a timestamp be off
_DEPTH = 200  # nested levels: more than any setting lets through
_LARGEST = 17_000_000  # bytes: above any event that Hookline may be set to accept
Message = MutableMapping[str, Any]  # ASGI's own type for what servers and applications exchange
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def listen(  # noqa: PLR0913 - each is an option of the command
    *,
    secret: Annotated[
        str | None,
        typer.Option(help="The integration's secret, with or without whsec_, to check with."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
    ] = 8090,
    status: Annotated[int, typer.Option(min=200, max=599, help="What to answer.")] = 200,
    fail: Annotated[int, typer.Option(min=0, help="Answer 503 to so many first.")] = 0,
    body: Annotated[bool, typer.Option("--body", help="Print each body too.")] = False,
) -> None:
    """Receive deliveries, and print each and whether its signatures hold."""
    from hookline.cli.listen import Receiver  # noqa: PLC0415
    from hookline.server.server import listener  # noqa: PLC0415
    from hookline.server.signals import run_until_stopped  # noqa: PLC0415

    def tell(received: "Received") -> None:
        _write("\n".join(describe(received, with_body=body)))

    receiver = Receiver(secret=secret, answer=_answers(status, fail), tell=tell)
    with listener(host, port, advice="choose another with --port.") as taken:
        sys.exit(run_until_stopped(lambda stopping: _listen(receiver, taken, stopping)))


def describe(received: "Received", *, with_body: bool) -> list[str]:
    """Return what a person wants to know about one delivery, line by line."""
    document = _parsed(received.body)
    envelope: dict[str, Any] = document if isinstance(document, dict) else {}
    found, headers = received.verification, received.headers
    moment = received.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    request = f"{len(received.body):,} bytes  {received.method} {received.path}"
    raw, javascript = _word(found.raw), _word(found.javascript)
    return [
        f"{moment}  {envelope.get('type', 'no event')}  {request} → {received.status}",
        f"  id                 {envelope.get('id', '–')}",
        f"  webhook-id         {headers.get('webhook-id', '–')}",
        f"  x-signature        {headers.get('x-signature', '–')}",
        f"    over the raw body                {raw}",
        f"    over the JavaScript round trip   {javascript}",
        f"  webhook-signature  {headers.get('webhook-signature', '–')}",
        f"    over id, timestamp and body      {_word(found.standard)}",
        *(_indented(received.body, document) if with_body else ()),
    ]


def _answers(status: int, failures: int) -> Callable[[bytes], int]:
    """Answer 503 to the first so many, then always the same."""
    left = iter(range(failures))
    return lambda _body: status if next(left, None) is None else 503


async def _listen(receiver: "Receiver", taken: "socket.socket", stopping: "Stopping") -> None:
    from hookline.server.server import address_of, answer  # noqa: PLC0415

    def announce() -> None:
        unchecked = " Signatures are shown, not checked: there is no --secret."
        hint = "" if receiver.secret else unchecked
        _write(f"Listening on {address_of(taken)}/ (any path). Ctrl-C ends it.{hint}")

    await answer(receiver, taken, stopping, grace=_GRACE, when_started=announce)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _indented(body: bytes, document: object) -> list[str]:
    text = body.decode(errors="backslashreplace")
    if document is not None:
        text = json.dumps(document, indent=2, ensure_ascii=False)
    return [f"  {line}" for line in text.splitlines()]


def _word(check: "Check") -> str:
    return {
        "holds": "✓ holds",
        "fails": "✗ does not hold",
        "missing": "✗ missing",
        "unchecked": "not checked",
    }[check.value]


def _write(text: str) -> None:
    """Print what came from outside: nothing in it moves the cursor or changes the terminal."""
    terminal.say(text, {"✓ holds": "green", "✗ does not hold": "bold red", "✗ missing": "bold red"})


class Check(Enum):
    """What came of one check."""

    HOLDS = "holds"
    FAILS = "fails"
    MISSING = "missing"
    UNCHECKED = "unchecked"  # no secret to check with


@dataclass(frozen=True, slots=True)
class Verification:
    """How each of the signatures of a delivery looks to a receiver."""

    raw: Check  # x-signature over the bytes as they came
    javascript: Check  # x-signature over JSON.stringify(JSON.parse(body))
    standard: Check  # webhook-signature of Standard Webhooks

    @property
    def holds(self) -> bool:
        """Whether every receiver would accept the delivery."""
        return {self.raw, self.javascript, self.standard} == {Check.HOLDS}


def verify(secret: str | None, headers: Mapping[str, str], body: bytes) -> Verification:
    """Check a delivery; `headers` has names in lower case, `secret` may begin with `whsec_`."""
    if secret is None:
        return Verification(
            *(
                Check.UNCHECKED if name in headers else Check.MISSING
                for name in ("x-signature", "x-signature", "webhook-signature")
            )
        )
    secret = secret.removeprefix("whsec_")
    presented = headers.get("x-signature")
    return Verification(
        raw=_x_signature(secret, presented, body),
        javascript=_x_signature(secret, presented, javascript_round_trip(body)),
        standard=_standard(secret, headers, body),
    )


def javascript_round_trip(body: bytes) -> bytes | None:
    """Return `JSON.stringify(JSON.parse(body))`; None where JavaScript would not parse it."""
    try:
        return canonical(parse_document(body, depth=_DEPTH))
    except HooklineError:
        return None


def _x_signature(secret: str, presented: str | None, body: bytes | None) -> Check:
    if presented is None:
        return Check.MISSING
    if body is None:
        return Check.FAILS
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return _verdict(hmac.compare_digest(expected.encode(), presented.encode()))


def _standard(secret: str, headers: Mapping[str, str], body: bytes) -> Check:
    try:
        identifier, sent_at = headers["webhook-id"], headers["webhook-timestamp"]
        presented = headers["webhook-signature"].split(" ")
    except KeyError:
        return Check.MISSING
    try:
        key = base64.b64decode(secret, validate=True)
        fresh = abs(time.time() - int(sent_at)) <= _TOLERANCE
    except (binascii.Error, ValueError, OverflowError):
        return Check.FAILS
    signed = b".".join((identifier.encode(), sent_at.encode(), body))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    found = [
        hmac.compare_digest(expected, each.removeprefix("v1,").encode())
        for each in presented
        if each.startswith("v1,")
    ]
    return _verdict(fresh and any(found))


def _verdict(holds: bool) -> Check:  # noqa: FBT001 - a private step
    return Check.HOLDS if holds else Check.FAILS


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery as it came in, with what was found out and answered."""

    at: datetime
    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    verification: Verification
    status: int


class Receiver:
    """An ASGI application. `secret` may be set later; `answer` says the status of each delivery."""

    def __init__(
        self,
        *,
        secret: str | None = None,
        answer: Callable[[bytes], int] = lambda _body: 200,
        tell: Callable[[Received], None],
    ) -> None:
        self.secret = secret
        self._answer = answer
        self._tell = tell

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Take one request, whatever its method and path."""
        body = await _read(receive)
        if body is None:
            await _reply(send, 413)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        received = Received(
            at=datetime.now(UTC),
            method=scope["method"],
            path=scope["path"],
            headers=headers,
            body=body,
            verification=verify(self.secret, headers, body),
            status=self._answer(body),
        )
        self._tell(received)
        await _reply(send, received.status)


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body; None where it is too large to be a delivery."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _LARGEST:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


async def _reply(send: Send, status: int) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
