"""Routes with a body: first the key, then a bounded body, and only then FastAPI.

FastAPI would read a whole body, of any size and depth, before it asks who sends it.
"""

from collections.abc import Sequence
from email.message import Message
from typing import Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from hookline.api.auth import authenticate
from hookline.api.parameters import Handler, StrictRoute
from hookline.deadlines import Deadlines
from hookline.domain.documents import parse_unambiguous
from hookline.errors import MalformedBody, TooLarge, UnsupportedBody

MOST_BYTES = 1024 * 1024  # an integration takes a few kilobytes
_SLOWEST_BODY = 60.0  # seconds; a sender that trickles must not hold memory for ever
_DEEPEST = 16  # an integration nests four levels
_JSON: Final = "application/json"
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii"})
_BODIES = Deadlines(_SLOWEST_BODY)


class GuardedRoute(StrictRoute):
    """A route whose caller is known, and whose JSON body is bounded and parsed, at its start."""

    def get_route_handler(self) -> Handler:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None
        types = _types_of(self)

        async def guarded(request: Request) -> Response:
            await authenticate(request)
            return await handle(await _with_document(request, types) if takes_body else request)

        return guarded


class _ReadRequest(Request):
    """A request whose body was read and parsed already."""

    def __init__(self, request: Request, raw: bytes, document: object) -> None:
        super().__init__(request.scope, request.receive)
        self._raw = raw
        self._document = document

    async def body(self) -> bytes:
        return self._raw

    async def json(self) -> object:
        return self._document


async def read_bounded(request: Request, most: int) -> bytes:
    """Read a body of at most `most` bytes.

    Raises TooLarge as soon as it is known to be longer, MalformedBody where it doesn't end
    within a minute, or ends with the connection, and UnsupportedBody where it is compressed: what
    a few bytes unpack to has no bound.
    """
    _look_at_head(request, most)
    try:
        with _BODIES.start():
            return await _read(request.receive, most)
    except TimeoutError as error:
        raise MalformedBody(f"The body did not end within {_SLOWEST_BODY:.0f} seconds.") from error
    except ClientDisconnect as error:
        raise MalformedBody("The connection ended before the body did.") from error


def _look_at_head(request: Request, most: int) -> None:
    for name, value in request.scope["headers"]:
        if name == b"content-length":
            if value.isdigit() and int(value[:20]) > most:
                raise _too_large(most)
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise UnsupportedBody("Send the body as it is, without a Content-Encoding.")


async def _read(receive: Receive, most: int) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


async def _with_document(request: Request, types: Sequence[str]) -> Request:
    raw = await read_bounded(request, MOST_BYTES)
    if not raw.strip():
        return _ReadRequest(request, b"", None)
    _refuse_other_types(request, types)
    document = parse_unambiguous(raw, depth=_DEEPEST)
    if not isinstance(document, dict):
        raise MalformedBody("The body must be one JSON object.")
    return _ReadRequest(request, raw, document)


def _types_of(route: APIRoute) -> Sequence[str]:
    """Return the media types that a route takes: the one that it documents, and plain JSON."""
    documented = getattr(route.body_field and route.body_field.field_info, "media_type", _JSON)
    return tuple(dict.fromkeys((documented, _JSON)))


def _refuse_other_types(request: Request, types: Sequence[str]) -> None:
    message = Message()
    message["content-type"] = ", ".join(request.headers.getlist("content-type"))
    if message.get_content_type() not in types or "/" not in message["content-type"]:
        raise UnsupportedBody(f"Send JSON, with the header Content-Type: {' or '.join(types)}.")
    if str(message.get_param("charset", "utf-8")).lower() not in _CHARSETS:
        raise UnsupportedBody("Send the JSON as UTF-8; no other charset is taken.")


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The body has more than {most:,} bytes, the most that is taken here.")
