"""httpx requests and responses that are cheap to make: bodies and headers as bytes.

Thousands are made a second. Their bodies are whole, and their headers are pairs of bytes, which
httpx takes apart only for whoever asks it about them.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from hookline.security.egress.responses import Received

Pairs = Sequence[tuple[bytes, bytes]]


class WholeBody(httpx.AsyncByteStream):
    """A body that is all there, of a request or of a response.

    It is no async generator, because event loops keep a register of those.
    """

    __slots__ = ("_left", "content")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._left = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Begin anew; one reads it at a time."""
        self._left = bool(self.content)
        return self

    async def __anext__(self) -> bytes:
        """Return it in one piece."""
        if not self._left:
            raise StopAsyncIteration
        self._left = False
        return self.content


class RawHeaders(httpx.Headers):
    """Headers that are given as they are sent; httpx's own form of them is made when it is used."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs: Pairs | None = pairs

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """The pairs of names and values, as they are to be sent."""
        return super().raw if self._pairs is None else list(self._pairs)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever httpx keeps in its own form
        """Make httpx's own form, once: what it keeps is not there before."""
        if (pairs := self._pairs) is None:
            raise AttributeError(name)
        self._pairs = None
        super().__init__(pairs)
        return getattr(self, name)


class PreparedRequest(httpx.Request):
    """A POST; its headers are all that is sent, `host` and the length among them.

    httpx's constructor would copy each part, and make headers of its own, only for ours to follow.
    """

    def __init__(
        self, url: httpx.URL, headers: Pairs, body: bytes, extensions: dict[str, Any]
    ) -> None:
        self.method = "POST"
        self.url = url
        self.headers = RawHeaders(headers)
        self.stream = WholeBody(body)
        self.extensions = extensions


def head_of(request: httpx.Request) -> bytes:
    """Print a request's head: its headers are the caller's.

    Raises LocalProtocolError for a line break, after which another header would stand.
    """
    fields = [*map(b": ".join, request.headers.raw)]
    line = b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)
    head = b"\r\n".join([line, *fields, b"\r\n"])
    ends = len(fields) + 2
    if head.count(b"\n") != ends or head.count(b"\r") != ends:
        raise httpx.LocalProtocolError("a header holds a line break")
    return head


async def body_of(request: httpx.Request) -> bytes:
    """Read a request's body; raise LocalProtocolError where it is not for asyncio."""
    stream = request.stream
    if isinstance(stream, WholeBody):
        return stream.content
    if not isinstance(stream, httpx.AsyncByteStream):
        raise httpx.LocalProtocolError("the request's body is not for asyncio")
    return b"".join([part async for part in stream])


def response_of(received: Received) -> httpx.Response:
    """Make the response of what was received."""
    if received.status is None:  # a connection ends with a status or raises
        raise httpx.LocalProtocolError("the response ended without a status")
    response = httpx.Response(
        received.status,
        stream=WholeBody(received.body),
        extensions={"defect": received.defect} if received.defect else None,
    )
    response.headers = RawHeaders(received.headers)
    return response
