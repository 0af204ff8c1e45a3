"""How deliveries went, in numbers for charts: of one integration, or of all that a key sees."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from hookline.api.auth import Manager
from hookline.api.bounded_body import GuardedRoute
from hookline.api.integrations import IntegrationPath
from hookline.api.parameters import Timestamp
from hookline.api.responses import failures
from hookline.api.services import ServicesDep
from hookline.domain.statistics import Interval
from hookline.history.schemas import Statistics, StatisticsByIntegration
from hookline.history.statistics import WantedStatistics
from hookline.integrations.fields import PRINTABLE, CompanyId, PbxSerial

router = APIRouter(prefix="/v1", tags=["Deliveries"], route_class=GuardedRoute)

_MOST_INTEGRATIONS = 100  # two usual pages of their list
_Interval = Annotated[
    Interval,
    Query(
        description="How long each bucket is, in UTC. At most 744 hours or 366 days in one answer."
    ),
]
_Since = Annotated[
    Timestamp | None,
    Query(
        description="From the hour or day on that this time is in (RFC 3339; UTC where it names no"
        " zone); else 24 hours or 30 days before `until`.",
        examples=["2026-01-31T00:00:00Z"],
    ),
]
_Until = Annotated[
    Timestamp | None,
    Query(
        description="Up to the hour or day that this time is in; else now.",
        examples=["2026-02-01T00:00:00Z"],
    ),
]


@router.get("/integrations/{integration_id}/stats", responses=failures(403, 404, 422))
async def get_integration_statistics(  # noqa: PLR0913 - each is a parameter of the query
    *,
    caller: Manager,
    services: ServicesDep,
    integration_id: IntegrationPath,
    since: _Since = None,
    until: _Until = None,
    interval: _Interval = Interval.HOUR,
) -> Statistics:
    """Read how an integration's deliveries went, by the hour or the day.

    What is counted is what ended in each hour; a delivery that somebody retries by hand ends twice.
    A deleted integration's numbers stay for as long as its deliveries do.
    """
    wanted = WantedStatistics(interval, since, until, integration_id=integration_id)
    return await services.statistics.read(caller, wanted)


@router.get("/stats", responses=failures(403, 422))
async def get_statistics(  # noqa: PLR0913 - each is a parameter of the query
    *,
    caller: Manager,
    services: ServicesDep,
    pbx: Annotated[PbxSerial | None, Query(description="Only of this PBX's integrations.")] = None,
    company: Annotated[
        CompanyId | None, Query(description="Only of this company's integrations.")
    ] = None,
    since: _Since = None,
    until: _Until = None,
    interval: _Interval = Interval.HOUR,
) -> Statistics:
    """Read how the deliveries to all integrations of the key's scope went, by the hour or the day.

    What is counted is what ended in each hour; a delivery that somebody retries by hand ends twice.
    """
    wanted = WantedStatistics(interval, since, until, pbx=pbx, company=company)
    return await services.statistics.read(caller, wanted)


@router.get("/stats/integrations", responses=failures(403, 422))
async def get_statistics_by_integration(  # noqa: PLR0913 - each is a parameter of the query
    *,
    caller: Manager,
    services: ServicesDep,
    integration_ids: Annotated[
        list[Annotated[Annotated[str, Field(min_length=1, max_length=64)], PRINTABLE]],
        Query(
            alias="integrationId",
            min_length=1,
            max_length=_MOST_INTEGRATIONS,
            description="The integrations, each by its id; give it once for each.",
            examples=[["s95eum"]],
        ),
    ],
    since: _Since = None,
    until: _Until = None,
    interval: _Interval = Interval.HOUR,
) -> StatisticsByIntegration:
    """Read how the deliveries to several integrations ended, by the hour or the day.

    One call for a page of the list of integrations: just the counts, integration by integration.
    """
    wanted = WantedStatistics(interval, since, until, integration_ids=frozenset(integration_ids))
    return await services.statistics.read_each(caller, wanted)
