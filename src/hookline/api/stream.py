"""`/v1/stream`: deliveries as they end, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import format_sse_event
from pydantic import Field
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hookline.api.bounded_body import JsonRoute
from hookline.api.dependencies import Manager, ServicesDep
from hookline.api.middleware import asks_for_head, note_lasting
from hookline.api.parameters import EventTypeFilter
from hookline.api.responses import failures
from hookline.errors import FieldProblem, InvalidInput, Unavailable
from hookline.history.schemas import Delivery
from hookline.history.settled import Position
from hookline.history.stream_readers import Reader, StreamEnd, WantedStream
from hookline.history.streams import Streams, is_too_late
from hookline.integrations.fields import PRINTABLE, PbxSerial
from hookline.logs import get_logger


class _StreamRoute(JsonRoute):
    """Its requests hold no place of a read while they wait for the log to be followed."""

    opens_stream = True


router = APIRouter(prefix="/v1", tags=["Deliveries"], route_class=_StreamRoute)

_JOINED_WITHIN: Final = 5.0  # seconds; where the database is away, a stream opens without it
HEARTBEAT: Final = 15.0  # seconds between comments, by which both ends see that the other is there
_COME_BACK_AFTER: Final = 1_000  # milliseconds, for browsers
_LONGEST_POSITION: Final = 80  # characters
_LOG = get_logger(__name__)
_MISSED: Final = {
    "detail": "What ended since your Last-Event-ID may be incomplete here: it is too long ago. "
    "GET /v1/deliveries lists all of it."
}
_DETAILS: Final = {
    StreamEnd.SLOW: "You read too slowly, and too much was waiting; come back with Last-Event-ID, "
    "or ask for less.",
    StreamEnd.KEY: "This key was revoked or has expired.",
    StreamEnd.STOPPING: "This process stops; come back with Last-Event-ID.",
    StreamEnd.LEFT: "You left.",
}
_DOCUMENTED: dict[int | str, dict[str, Any]] = {  # Any: as FastAPI declares it
    200: {
        "description": "The stream. `event: delivery` has a delivery as `GET "
        "/v1/deliveries/{deliveryId}` gives it; `event: missed`: what `Last-Event-ID` asked for is "
        "too long ago; `event: closed`: the stream ends, for the `reason` `slow`, `key` or "
        "`stopping`.",
        "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/Delivery"}}},
    }
}
_IntegrationId = Annotated[
    Annotated[str, Field(min_length=1, max_length=64), PRINTABLE] | None,
    Query(
        alias="integrationId",
        description="Only those to this integration.",
        examples=["s95eum"],
    ),
]
_Pbx = Annotated[PbxSerial | None, Query(description="Only those to this PBX's integrations.")]


async def _last_event_id(
    request: Request,
    documented: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            description="The last `id:` that was read, up to five minutes ago: what has ended since"
            " comes first.",
            max_length=_LONGEST_POSITION,
        ),
    ] = None,
) -> Position | None:
    sent = request.headers.getlist("Last-Event-ID")
    if not documented and len(sent) < 2:  # noqa: PLR2004 - twice
        return None
    position = Position.parse(documented or "") if len(sent) == 1 else None
    if position is None:
        message = "Send the last `id:` that this stream gave you, once, or leave the header out."
        raise InvalidInput(FieldProblem("Last-Event-ID", message))
    return position


@router.get(
    "/stream", response_class=StreamingResponse, responses=_DOCUMENTED | failures(403, 404, 422)
)
async def stream_deliveries(  # noqa: PLR0913 - each is a parameter of the query
    *,
    caller: Manager,
    services: ServicesDep,
    request: Request,
    last: Annotated[Position | None, Depends(_last_event_id)],
    integration_id: _IntegrationId = None,
    pbx: _Pbx = None,
    type: EventTypeFilter = None,  # noqa: A002 - the parameter's name in the API
) -> StreamingResponse:
    """Follow deliveries as they end, as server-sent events.

    Each delivery in the key's scope that has been delivered, has failed or was skipped comes within
    about a second, whichever process settled it, and at least once. A comment comes every 15
    seconds. After a break, `Last-Event-ID` resumes the stream without a gap for five minutes;
    browsers send it by themselves. A reader that is too slow is told so and closed.
    """
    if integration_id is not None:
        async with services.reads.slot(caller):  # NotFound, rather than silence
            await services.integrations.check_manages(caller, integration_id)
    wanted = WantedStream(integration_id, pbx, type)
    if asks_for_head(request.scope):
        return StreamingResponse((), media_type=_EventStream.media_type)
    late = last is not None and is_too_late(last)
    reader = services.streams.open(caller, wanted, None if late else last)
    try:
        # Before the 200: whoever reads it may send an event at once, and wait for it here.
        await services.streams.join(reader, within=_JOINED_WITHIN)
    except BaseException:
        services.streams.close(reader)
        raise
    return _EventStream(services.streams, reader, _told("missed", _MISSED) if late else b"")


def delivery_frame(delivery: Delivery, position: Position) -> bytes:
    """Print a delivery as an event of the stream."""
    document = delivery.model_dump_json(by_alias=True)
    return format_sse_event(event="delivery", data_str=document, id=str(position))


class _EventStream(StreamingResponse):
    """The answer that lasts; its reader is closed however it ends."""

    media_type = "text/event-stream"

    def __init__(self, streams: Streams, reader: Reader, first: bytes) -> None:
        headers = {"X-Accel-Buffering": "no"}  # nginx would hold events back
        hello = format_sse_event(retry=_COME_BACK_AFTER, comment="deliveries as they end")
        super().__init__(_events(streams, reader, hello + first), headers=headers)
        self._streams = streams
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        note_lasting(scope)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.close(self._reader)


async def _events(streams: Streams, reader: Reader, first: bytes) -> AsyncIterator[bytes]:
    yield first
    clock = asyncio.get_running_loop().time
    beat = clock() + HEARTBEAT
    while not await streams.known(within=beat - clock()):
        beat += HEARTBEAT
        yield _comment(None)
    try:
        async for frames in streams.begin(reader):
            yield frames
    except Unavailable as error:
        _LOG.warning("stream.not_begun", reason=str(error))
        return  # the reader comes back
    yield _comment(streams.position())
    while reader.end is None:
        frames = await reader.next(beat - clock())
        if clock() >= beat:
            beat = clock() + HEARTBEAT
            frames += _comment(streams.position())
        if frames:
            yield frames
    yield await reader.next(0)
    yield _told("closed", {"reason": reader.end.value, "detail": _DETAILS[reader.end]})


def _comment(position: Position | None) -> bytes:
    """Print a comment; with a position, a break that begins now can be resumed from here."""
    return format_sse_event(comment="alive", id=None if position is None else str(position))


def _told(event: str, document: dict[str, str]) -> bytes:
    return format_sse_event(event=event, data_str=orjson.dumps(document).decode())
