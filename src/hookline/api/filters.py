"""`/v1/filters`: what a filter lets pass, before anybody saves it."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body
from pydantic import Field, WithJsonSchema

from hookline.api.bounded_body import EventsRoute
from hookline.api.dependencies import Manager, ServicesDep
from hookline.api.openapi.examples import FILTER_TRIALS
from hookline.api.responses import failures
from hookline.dispatch.filter_trials import MOST_EVENTS, Sample, Tried, given_events, try_in_steps
from hookline.domain.access import Principal
from hookline.domain.filters import parse_filter
from hookline.domain.omissions import parse_omit
from hookline.errors import FieldProblem, InvalidInput
from hookline.integrations.fields import (
    NULL_IS_DEFAULT,
    Document,
    EventPattern,
    IntegrationId,
    OmitPaths,
    RequestDocument,
)
from hookline.integrations.serializers import FieldWarning, shown_warnings

_GivenEvent = Annotated[
    Any,  # hookline.domain.events reads it, and names every wrong place in it
    WithJsonSchema(
        {
            "type": "object",
            "description": "An event's envelope, without `integrationId`.",
            "additionalProperties": True,
        }
    ),
]


class FilterTrialRequest(RequestDocument):
    """What to try, and on which events: without `events` and `integrationId`, the examples."""

    filter: EventPattern | None = Field(
        description="The event pattern to try; `null` or `{}`: all pass."
    )
    omit: Annotated[OmitPaths, NULL_IS_DEFAULT] = Field(default_factory=list)
    events: list[_GivenEvent] | None = Field(
        None,
        min_length=1,
        max_length=MOST_EVENTS,
        description="Events to try it on, at most 100.",
    )
    integration_id: IntegrationId | None = Field(
        None, description="The integration whose last events it is tried on."
    )


class TriedEvent(Document):
    """What the filter says of one event, and its copy."""

    event_id: UUID | None = Field(description="Its id, where it is one of an integration's last.")
    type: str = Field(description="Its type.", examples=["call:completed"])
    passes: bool = Field(description="Whether the filter lets it pass.")
    refused_by: str | None = Field(
        description="Where it does not pass: the path that says no.",
        examples=["data.flows.direction"],
    )
    bytes: int = Field(ge=0, description="The size of the copy as it would be sent.")
    body: str | None = Field(
        description="The copy as it would be sent, whether it passes or not; `null` for those "
        "beyond the first MiB of all copies."
    )


class FilterTrial(Document):
    """What came of trying a filter, event by event."""

    passing: int = Field(ge=0, description="How many of the events pass.")
    items: list[TriedEvent] = Field(description="The events, in the order given; the newest first.")
    warnings: list[FieldWarning] = Field(
        description="Paths of `filter` and `omit` that no example of the integration's types, "
        "or without an integration of any type, has."
    )


router = APIRouter(prefix="/v1/filters", tags=["Filters"], route_class=EventsRoute)


@router.post("/try", responses=failures(400, 403, 404, 413, 415, 422))
async def try_filter(
    caller: Manager,
    services: ServicesDep,
    trial: Annotated[FilterTrialRequest, Body(openapi_examples=FILTER_TRIALS)],
) -> FilterTrial:
    """Try a filter.

    Says which of the events pass, of the others which path says no, and shows the copies without
    what `omit` names. The events are those that are sent along, or those that an integration chose
    of the last 100 of its PBX or company, or else the catalogue's examples. Nothing is sent, and
    nothing is kept.
    """
    pattern = parse_filter(trial.filter) if trial.filter else None
    omit = parse_omit(trial.omit)
    samples = await _samples(services, caller, trial)
    steps = try_in_steps(samples, pattern, omit, trial.integration_id)
    tried = await services.time_slices.run(
        caller.key_id, steps, services.cpu_shares.rest_after(caller)
    )
    return FilterTrial(
        passing=sum(each.refused_by is None for each in tried),
        items=[_shown(each) for each in tried],
        warnings=shown_warnings(services.trials.warnings(pattern, omit, trial.integration_id)),
    )


async def _samples(
    services: ServicesDep, caller: Principal, trial: FilterTrialRequest
) -> list[Sample]:
    if trial.events is not None and trial.integration_id is not None:
        message = "Send events along or name an integration, not both."
        raise InvalidInput(FieldProblem("integrationId", message))
    if trial.events is not None:
        return given_events(trial.events, services.limits)
    if trial.integration_id is None:
        return services.trials.examples()
    await services.integrations.check_manages(caller, trial.integration_id)
    return await services.trials.last_events(caller, trial.integration_id)


def _shown(tried: Tried) -> TriedEvent:
    return TriedEvent(
        event_id=tried.event_id,
        type=tried.event_type,
        passes=tried.refused_by is None,
        refused_by=tried.refused_by,
        bytes=tried.size,
        body=None if tried.body is None else tried.body.decode(),
    )
