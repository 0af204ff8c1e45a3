"""`/v1/events`: bytes in, a receipt out; what was accepted, and what became of it."""

from collections.abc import Generator, Sequence
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from hookline.api.bounded_body import JsonRoute, read_bounded
from hookline.api.dependencies import (
    Manager,
    Services,
    ServicesDep,
    authenticate_event_sender,
    services_of,
)
from hookline.api.event_schemas import (
    BatchReceipt,
    EventBatchCreate,
    EventCreate,
    EventReceipt,
    request_of,
)
from hookline.api.middleware import RawRoute
from hookline.api.parameters import (
    DEFAULT_LIMIT,
    Cursor,
    EventTypeFilter,
    Limit,
    Since,
    Until,
    decode_cursor,
    existing_id,
    page_of,
    refuse_unknown_parameters,
)
from hookline.api.problems import problem_document
from hookline.api.responses import Accepted, failures
from hookline.dispatch.ingest_authorisation import IngestCaller
from hookline.dispatch.observer import Receipt
from hookline.domain.events import (
    Event,
    batch_in_steps,
    event_in_steps,
    parse_batch,
    parse_event,
)
from hookline.domain.incremental import WINDOW
from hookline.errors import (
    Forbidden,
    HooklineError,
    Overloaded,
    QuotaExceeded,
)
from hookline.history.ranges import Period
from hookline.history.repository import StoredEvent
from hookline.history.schemas import EventPage, EventRecord
from hookline.history.statements import WantedEvents
from hookline.integrations.fields import PRINTABLE, CompanyId, PbxSerial

_Result = TypeVar("_Result")

_TOLD_AT_ONCE = 200  # results, in a millisecond
_MOST_CHECKS = 3  # times that a batch's events may change hands while they are accepted

ingest = APIRouter(prefix="/v1/events", tags=["Events"], route_class=RawRoute)
router = APIRouter(prefix="/v1/events", tags=["Events"], route_class=JsonRoute)


@ingest.post(
    "",
    status_code=202,
    response_model=EventReceipt,
    responses=failures(400, 403, 413, 415, 422),
    openapi_extra=request_of(EventCreate),
)
async def send_event(request: Request) -> Response:
    """Send one event.

    Answered once the event is stored durably. It goes to the integrations of its PBX: the one that
    it names, or else the one that the key is bound to; without either to those of its company.
    The body is read as JSON whatever its `Content-Type`: senders in the field name several.
    """
    services = services_of(request)
    sender = await authenticate_event_sender(request)
    refuse_unknown_parameters(request)
    caller = sender.principal
    charge = services.cpu_shares.rest_after(caller)
    with services.bodies.of(caller, charge) as held:
        raw = await read_bounded(request, services.limits.event_bytes, held)
        [event] = await sender.route_all((await _parsed_event(services, sender, raw),))
        if isinstance(event, HooklineError):
            raise event
        [receipt] = await sender.send(services.ingest, (event,))
    services.cpu_shares.charge_stored(sender.principal, 1, receipt.deliveries)
    return Accepted(
        {
            "eventId": str(receipt.event_id),
            "duplicate": receipt.duplicate,
            "deliveries": receipt.deliveries,
        }
    )


@ingest.post(
    "/batch",
    status_code=202,
    response_model=BatchReceipt,
    response_model_exclude_unset=True,
    responses=failures(400, 403, 413, 415, 422),
    openapi_extra=request_of(EventBatchCreate),
)
async def send_event_batch(request: Request) -> Response:
    """Send many events.

    Each event is judged by itself, as if it was sent alone: one that is wrong, or not the key's to
    send, spoils no other. Answered once all others are stored durably. The body is read as JSON
    whatever its `Content-Type`.
    """
    services = services_of(request)
    sender = await authenticate_event_sender(request)
    refuse_unknown_parameters(request)
    caller = sender.principal
    charge = services.cpu_shares.rest_after(caller)
    with services.bodies.of(caller, charge) as held:
        raw = await read_bounded(request, services.limits.batch_bytes, held)
        items = await _parsed_batch(services, sender, raw)
        services.rate_limits.charge_events(sender.principal, len(items) - 1)
        results = await _accept(services, sender, items)
    made = sum(each.deliveries for each in results if isinstance(each, Receipt))
    services.cpu_shares.charge_stored(sender.principal, len(results), made)
    if len(results) <= _TOLD_AT_ONCE:
        return Accepted({"results": [_result(each) for each in results]})
    return await _in_slices(services, sender, _told_in_steps(results))


async def _parsed_event(services: Services, sender: IngestCaller, raw: bytes) -> Event:
    """Parse at once what is small, and in steps, in turn with other keys, what is large."""
    if len(raw) <= WINDOW:
        return parse_event(raw, services.limits)
    steps = event_in_steps(raw, services.limits, pbx=sender.principal.pbx)
    return await _in_slices(services, sender, steps)


async def _parsed_batch(
    services: Services, sender: IngestCaller, raw: bytes
) -> list[Event | HooklineError]:
    if len(raw) <= WINDOW:
        return parse_batch(raw, services.limits)
    steps = batch_in_steps(raw, services.limits, pbx=sender.principal.pbx)
    return await _in_slices(services, sender, steps)


async def _in_slices(
    services: Services, sender: IngestCaller, steps: Generator[None, None, _Result]
) -> _Result:
    caller = sender.principal
    rest = services.cpu_shares.rest_after(caller)
    return await services.time_slices.run(caller.key_id, steps, rest)


async def _accept(
    services: Services, sender: IngestCaller, items: Sequence[Event | HooklineError]
) -> list[Receipt | HooklineError]:
    """Accept what may be sent now; where that is less than it seemed, nothing was: look again.

    Events of tenants that have as much waiting as they may are refused one by one, or as a whole
    batch where there are no others.
    """
    for _ in range(_MOST_CHECKS):
        routed = await sender.route_all(items)
        places = [at for at, item in enumerate(routed) if isinstance(item, Event)]
        events = [item for item in routed if isinstance(item, Event)]
        try:
            receipts = iter(await sender.send(services.ingest, events) if events else ())
        except Forbidden:
            continue
        except QuotaExceeded as error:
            if len(error.refused) == len(events):
                raise
            refused = {places[at]: why for at, why in error.refused.items()}
            items = [refused.get(at, item) for at, item in enumerate(items)]
            continue
        return [next(receipts) if isinstance(item, Event) else item for item in routed]
    raise Overloaded("What this key may send changes too fast; send this again.", retry_after=1.0)


def _told_in_steps(
    results: Sequence[Receipt | HooklineError],
) -> Generator[None, None, Response]:
    """Return the answer, in steps: a thousand refusals take as long as a thousand events."""
    told: list[dict[str, Any]] = []
    for start in range(0, len(results), _TOLD_AT_ONCE):
        told += map(_result, results[start : start + _TOLD_AT_ONCE])
        yield
    return Accepted({"results": told})


def _result(result: Receipt | HooklineError) -> dict[str, Any]:  # Any: a JSON document
    if isinstance(result, HooklineError):
        return {"status": "invalid", "error": problem_document(result)}
    status = "duplicate" if result.duplicate else "accepted"
    return {"status": status, "eventId": str(result.event_id)}


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
    PBX or company are listed. A page that finds little looks back over 40 days at least, or, of a
    PBX and a company together, over 500 of the PBX's events; then it is cut short: it may have
    fewer than `limit`, or none, and a `next` that goes on from there.
    """
    wanted = WantedEvents(pbx, company, type, subject, Period(since, until))
    listing = ("events", wanted)
    found = await services.history.events(
        caller, wanted, before=decode_cursor(listing, cursor), limit=limit + 1
    )
    shown, following = page_of(
        listing, found.items, limit, lambda each: each.event_id, found.left_off
    )
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
