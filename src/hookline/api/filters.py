"""`/v1/filters`: what a filter lets pass, before anybody saves it."""

from typing import Annotated

from fastapi import APIRouter, Body

from hookline.api.auth import Manager
from hookline.api.bounded_body import GuardedRoute
from hookline.api.examples import FILTER_TRIALS
from hookline.api.filter_schemas import FilterTrial, FilterTrialRequest, TriedEvent
from hookline.api.responses import failures
from hookline.api.services import ServicesDep
from hookline.dispatch.filter_trials import Sample, Tried, given_events, try_in_steps
from hookline.domain.access import Principal
from hookline.domain.filters import parse_filter
from hookline.domain.omissions import parse_omit
from hookline.errors import FieldProblem, InvalidInput

router = APIRouter(prefix="/v1/filters", tags=["Filters"], route_class=GuardedRoute)


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
    pattern = None if trial.filter is None else parse_filter(trial.filter)
    omit = parse_omit(trial.omit)
    samples = await _samples(services, caller, trial)
    steps = try_in_steps(samples, pattern, omit, trial.integration_id)
    tried = await services.time_slices.run(caller.key_id, steps)
    return FilterTrial(
        passing=sum(each.refused_by is None for each in tried),
        items=[_shown(each) for each in tried],
    )


async def _samples(
    services: ServicesDep, caller: Principal, trial: FilterTrialRequest
) -> list[Sample]:
    if trial.events is not None and trial.integration_id is not None:
        message = "Send events along or name an integration, not both."
        raise InvalidInput(FieldProblem("integrationId", message))
    if trial.events is not None:
        return given_events(trial.events)
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
