"""`GET /v1/events`: find events, and see what became of each."""

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from hookline.api.auth import Manager
from hookline.api.bounded_body import GuardedRoute
from hookline.api.pagination import DEFAULT_LIMIT, Cursor, Limit, decode_cursor, encode_cursor
from hookline.api.parameters import Timestamp
from hookline.api.responses import failures
from hookline.api.services import ServicesDep
from hookline.errors import NotFound
from hookline.history.repository import StoredEvent
from hookline.history.schemas import EventPage, EventRecord
from hookline.history.statements import Period, WantedEvents
from hookline.integrations.fields import PRINTABLE, CompanyId, PbxSerial

router = APIRouter(prefix="/v1/events", tags=["Events"], route_class=GuardedRoute)

EventTypeFilter = Annotated[
    Annotated[str, Field(min_length=1, max_length=128), PRINTABLE] | None,
    Query(description="Only of this type.", examples=["call:completed"]),
]


Since = Annotated[
    Timestamp | None,
    Query(
        description="Only from this time on (RFC 3339; UTC where it names no zone).",
        examples=["2026-01-31T12:00:00Z"],
    ),
]
Until = Annotated[
    Timestamp | None,
    Query(description="Only before this time.", examples=["2026-02-01T00:00:00Z"]),
]


@router.get("", responses=failures(403, 422))
async def list_events(  # noqa: PLR0913 - each is a parameter of the query
    *,
    caller: Manager,
    services: ServicesDep,
    pbx: Annotated[PbxSerial | None, Query(description="Only those of this PBX.")] = None,
    company: Annotated[CompanyId | None, Query(description="Only those of this company.")] = None,
    type: EventTypeFilter = None,  # noqa: A002 - the parameter's name in the API
    subject: Annotated[
        Annotated[str, Field(min_length=1, max_length=255), PRINTABLE] | None,
        Query(description="Only those whose envelope has this `id`."),
    ] = None,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> EventPage:
    """List accepted events, newest first.

    `since` and `until` are about the moment when Hookline accepted them. Only events of the key's
    PBX or company are listed.
    """
    wanted = WantedEvents(pbx, company, type, subject, Period(since, until))
    listing = ("events", wanted)
    found = await services.history.events(
        caller, wanted, before=decode_cursor(listing, cursor), limit=limit + 1
    )
    shown = found[:limit]
    following = encode_cursor(listing, shown[-1].event_id) if len(found) > limit else None
    return EventPage(items=shown, next=following)


@router.get("/{eventId}", response_model=EventRecord, responses=failures(403, 404, 422))
async def get_event(
    *,
    caller: Manager,
    services: ServicesDep,
    event_id: Annotated[
        str,
        Path(
            alias="eventId",
            description="The event's id.",
            json_schema_extra={"format": "uuid"},
        ),
    ],
) -> Response:
    """Read an event, and each integration's outcome with its reason.

    Every integration that was considered is listed: those that get the event with their delivery,
    the others with why they did not.
    """
    found = await services.history.event(caller, existing_id(event_id, "event"))
    return Response(_printed(found), media_type="application/json")


def existing_id(text: str, kind: str) -> UUID:
    """Read an id from a path; what is none belongs to nothing, so NotFound."""
    try:
        identifier = UUID(text)
    except ValueError:
        identifier = None
    if identifier is None or str(identifier) != text.lower():
        raise NotFound(f"There is no {kind} {text[:40]!a}.")
    return identifier


def _printed(event: StoredEvent) -> bytes:
    """Print the record around the stored bytes, which nothing parses or prints again."""
    return orjson.dumps(
        {
            "eventId": str(event.id),
            "acceptedAt": event.accepted_at,
            "erasedAt": event.erased_at,
            "event": orjson.Fragment(event.payload),
            "outcomes": [each.model_dump(mode="json", by_alias=True) for each in event.outcomes],
        },
        option=orjson.OPT_UTC_Z,
    )
