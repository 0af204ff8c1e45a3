"""A receiver of deliveries on one machine: takes a POST, checks it, answers, tells who listens."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hookline.cli.verification import Verification, verify

_LARGEST = 17_000_000  # bytes: above any event that Hookline may be set to accept

Message = MutableMapping[str, Any]  # ASGI's own type for what servers and applications exchange
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


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
