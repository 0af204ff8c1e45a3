"""Routes with a body: first the key, then a bounded body, and only then FastAPI.

FastAPI would read a whole body, of any size and depth, before it asks who sends it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from email.message import Message
from time import thread_time
from typing import Any, ClassVar, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError

from hookline.api.dependencies import authenticate, services_of
from hookline.api.fairness import HeldBody
from hookline.api.parameters import Handler, StrictRoute
from hookline.domain.documents import parse_unambiguous
from hookline.errors import MalformedBody, TooLarge, UnsupportedBody
from hookline.integrations.fields import RequestDocument

MOST_BYTES = 1024 * 1024  # an integration takes a few kilobytes
_LARGE: Final = 8 * 1024  # bytes, above which parsing takes longer than other requests do
_DEEPEST = 16  # an integration nests four levels
_DEEPEST_WITH_EVENTS = 202  # the deepest event that settings allow, in a list in the body
_JSON: Final = "application/json"
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii"})
_ENCODINGS: Final = {
    b"content-encoding": "a Content-Encoding",
    b"transfer-encoding": "a Transfer-Encoding other than chunked",
}
_PLAIN: Final = frozenset({b"", b"identity", b"chunked"})
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class _Spent:
    """The CPU time that parsing and validating one body took; it counts against its key."""

    seconds = 0.0

    @contextmanager
    def measuring(self) -> Iterator[None]:
        started = thread_time()
        try:
            yield
        finally:
            self.seconds += thread_time() - started


_SPENT: ContextVar[_Spent] = ContextVar("_SPENT")
Validate = Callable[..., Any]  # Any: as FastAPI declares it


class JsonRoute(StrictRoute):
    """A route whose caller is known, and whose JSON body is bounded and parsed, at its start.

    Reads are bounded for each tenant; but not those that open streams, which have their bounds.
    """

    deepest: ClassVar[int] = _DEEPEST
    opens_stream: ClassVar[bool] = False

    def get_route_handler(self) -> Handler:
        """Wrap FastAPI's handler."""
        self._with_charged_validation()
        handle = super().get_route_handler()
        takes_body = self.body_field is not None
        refuses_body = not takes_body and "POST" in (self.methods or ())
        types = _types_of(self)

        async def guarded(request: Request) -> Response:
            principal = await authenticate(request)
            services = services_of(request)
            cpu = services.cpu_shares
            if request.method == "GET" and not self.opens_stream:
                async with services.reads.slot(principal):
                    await cpu.throttle(principal)
                    return await cpu.measured(principal, handle(request))
            await cpu.throttle(principal, opens_stream=self.opens_stream)
            if not (takes_body or refuses_body):
                return await cpu.measured(principal, handle(request))
            spent = _Spent()
            with services.bodies.of(principal, cpu.rest_after(principal)) as held:
                raw = await read_bounded(request, MOST_BYTES, held)
                if len(raw) > _LARGE:
                    await cpu.throttle(principal)  # others of the tenant's were parsed meanwhile
                token = _SPENT.set(spent)
                try:
                    try:
                        told = _with_document(request, types, raw, spent, self.deepest)
                    finally:
                        cpu.charge(principal, spent.seconds)
                    if refuses_body:
                        _refuse_fields(await told.json())
                    return await cpu.measured(principal, handle(told))
                finally:
                    _SPENT.reset(token)
                    services.rate_limits.charge_request_cpu(principal.key_id, spent.seconds)

        return guarded

    def _with_charged_validation(self) -> None:
        """Have what validates the body note its CPU time."""
        for field in self.dependant.body_params:
            field.validate = _charged(field.validate)  # type: ignore[method-assign]  # no hook of FastAPI's


class _NoFields(RequestDocument):
    """The body of a POST that needs none."""


class EventsRoute(JsonRoute):
    """A route whose body holds whole events, which may nest deeper than other documents."""

    deepest = _DEEPEST_WITH_EVENTS


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


async def read_bounded(request: Request, most: int, held: HeldBody) -> bytes:
    """Read a body of at most `most` bytes into memory that is taken beforehand.

    Raises TooLarge as soon as it is known to be longer, MalformedBody where it ends with the
    connection, Overloaded where there is no memory for it, and UnsupportedBody where it is encoded:
    what a few bytes unpack to has no bound. The server ends bodies that come too slowly.
    """
    await held.grow(_announced(request, most))
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise MalformedBody("The connection ended before the body did.")
        part = message["body"]
        size += len(part)
        if size > most:
            raise _too_large(most)
        await held.grow(size)
        parts.append(part)
        more = message["more_body"]
    raw = b"".join(parts)
    if raw.startswith(_BYTE_ORDER_MARK):
        raise MalformedBody("The body starts with a byte order mark (byte 0); send it without one.")
    return raw


def _announced(request: Request, most: int) -> int:
    """Return the length that the headers announce, 0 where they leave it open."""
    length = 0
    for name, value in request.scope["headers"]:
        if name == b"content-length":
            length = int(value)
            if length > most:
                raise _too_large(most)
        elif name in _ENCODINGS and value.lower() not in _PLAIN:
            raise UnsupportedBody(f"Send the body as it is, without {_ENCODINGS[name]}.")
    return length


def _with_document(
    request: Request, types: Sequence[str], raw: bytes, spent: _Spent, deepest: int
) -> _ReadRequest:
    """Parse a body; the CPU time counts, also where the body is refused."""
    with spent.measuring():
        if not raw.strip():
            return _ReadRequest(request, b"", None)
        _refuse_other_types(request, types)
        document = parse_unambiguous(raw, depth=deepest)
        if not isinstance(document, dict):
            raise MalformedBody("The body must be one JSON object.")
        return _ReadRequest(request, raw, document)


def _refuse_fields(document: object) -> None:
    """Refuse every field that is sent where none is taken; nothing and an empty object are fine."""
    try:
        _NoFields.model_validate(document or {})
    except ValidationError as error:
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(found) from error


def _charged(validate: Validate) -> Validate:
    """Return what validates a body and notes what that took, also where it is wrong."""

    def validated(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - FastAPI's own
        with _SPENT.get().measuring():
            return validate(*arguments, **named)

    return validated


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
