"""`POST /v1/events`: bytes in, a receipt out, and nothing on the way that could be left out."""

from collections.abc import Generator, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from hookline.api.auth import admit_sender
from hookline.api.bounded_body import read_bounded
from hookline.api.event_schemas import (
    BatchReceipt,
    EventBatchCreate,
    EventCreate,
    EventReceipt,
    request_of,
)
from hookline.api.parameters import refuse_unknown_parameters
from hookline.api.problems import problem_document
from hookline.api.responses import Accepted, failures
from hookline.api.routing import RawRoute
from hookline.api.services import Services, services_of
from hookline.dispatch.ingest import Receipt
from hookline.dispatch.ingest_authorisation import IngestCaller
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

_TOLD_AT_ONCE = 200  # results, in a millisecond
_MOST_CHECKS = 3  # times that a batch's events may change hands while they are accepted

router = APIRouter(prefix="/v1/events", tags=["Events"], route_class=RawRoute)


@router.post(
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
    """
    services = services_of(request)
    sender = await admit_sender(request)
    refuse_unknown_parameters(request)
    with services.bodies.of(sender.principal.key_id) as held:
        raw = await read_bounded(request, services.limits.event_bytes, held)
        [event] = await sender.route_all((await _parsed_event(services, sender, raw),))
        if isinstance(event, HooklineError):
            raise event
        [receipt] = await sender.send(services.ingest, (event,))
    return Accepted(
        {
            "eventId": str(receipt.event_id),
            "duplicate": receipt.duplicate,
            "deliveries": receipt.deliveries,
        }
    )


@router.post(
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
    send, spoils no other. Answered once all others are stored durably.
    """
    services = services_of(request)
    sender = await admit_sender(request)
    refuse_unknown_parameters(request)
    with services.bodies.of(sender.principal.key_id) as held:
        raw = await read_bounded(request, services.limits.batch_bytes, held)
        items = await _parsed_batch(services, sender, raw)
        services.allowances.charge_events(sender.principal, len(items) - 1)
        results = await _accept(services, sender, items)
    if len(results) <= _TOLD_AT_ONCE:
        return Accepted({"results": [_result(each) for each in results]})
    return await services.time_slices.run(sender.principal.key_id, _told_in_steps(results))


async def _parsed_event(services: Services, sender: IngestCaller, raw: bytes) -> Event:
    """Parse at once what is small, and in steps, in turn with other keys, what is large."""
    if len(raw) <= WINDOW:
        return parse_event(raw, services.limits)
    caller = sender.principal
    steps = event_in_steps(raw, services.limits, pbx=caller.pbx)
    return await services.time_slices.run(caller.key_id, steps)


async def _parsed_batch(
    services: Services, sender: IngestCaller, raw: bytes
) -> list[Event | HooklineError]:
    if len(raw) <= WINDOW:
        return parse_batch(raw, services.limits)
    caller = sender.principal
    steps = batch_in_steps(raw, services.limits, pbx=caller.pbx)
    return await services.time_slices.run(caller.key_id, steps)


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
