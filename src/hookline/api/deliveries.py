"""`/v1/deliveries` and statistics: each copy on its way, one more attempt, numbers for charts."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from hookline.api.bounded_body import JsonRoute
from hookline.api.dependencies import Manager, ServicesDep
from hookline.api.integrations import IntegrationPath
from hookline.api.parameters import (
    DEFAULT_LIMIT,
    Cursor,
    EventTypeFilter,
    Limit,
    Since,
    Timestamp,
    Until,
    decode_cursor,
    existing_id,
    page_of,
)
from hookline.api.responses import failures
from hookline.domain.deliveries import DeliveryStatus
from hookline.domain.statistics import Interval
from hookline.history.ranges import Period
from hookline.history.schemas import Delivery, DeliveryPage
from hookline.history.statements import WantedDeliveries
from hookline.history.statistics import Statistics, StatisticsByIntegration, WantedStatistics
from hookline.integrations.fields import PRINTABLE, CompanyId, PbxSerial

router = APIRouter(prefix="/v1", tags=["Deliveries"], route_class=JsonRoute)

_DeliveryPath = Annotated[
    str,
    Path(
        description="The delivery's id.",
        json_schema_extra={"format": "uuid"},
    ),
]


@router.get("/deliveries", responses=failures(403, 422))
async def list_deliveries(  # noqa: PLR0913 - each is a parameter of the query
    *,
    caller: Manager,
    services: ServicesDep,
    integration_id: Annotated[
        Annotated[str, Field(min_length=1, max_length=64), PRINTABLE] | None,
        Query(
            alias="integrationId",
            description="Only those to this integration, deleted or not.",
            examples=["s95eum"],
        ),
    ] = None,
    status: Annotated[
        list[DeliveryStatus] | None,
        Query(description="Only those that stand so; may be given several times."),
    ] = None,
    type: EventTypeFilter = None,  # noqa: A002 - the parameter's name in the API
    since: Since = None,
    until: Until = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> DeliveryPage:
    """List deliveries, newest first.

    `since` and `until` are about the moment when they were queued. Only deliveries to integrations
    inside the key's scope are listed. A page that finds little looks back over 40 days at least, or
    fewer for a company of very many integrations; then it is cut short: it may have fewer than
    `limit`, or none, and a `next` that goes on from there.
    """
    statuses = frozenset(status or ())
    wanted = WantedDeliveries(integration_id, statuses, type, Period(since, until))
    listing = ("deliveries", integration_id, sorted(statuses), type, wanted.created)
    found = await services.history.deliveries(
        caller, wanted, before=decode_cursor(listing, cursor), limit=limit + 1
    )
    shown, following = page_of(listing, found.items, limit, lambda each: each.id, found.left_off)
    return DeliveryPage(items=shown, next=following)


@router.get("/deliveries/{delivery_id}", responses=failures(403, 404, 422))
async def get_delivery(
    *,
    caller: Manager,
    services: ServicesDep,
    delivery_id: _DeliveryPath,
) -> Delivery:
    """Read a delivery with its attempts."""
    return await services.history.delivery(caller, existing_id(delivery_id, "delivery"))


@router.post(
    "/deliveries/{delivery_id}/retry",
    status_code=202,
    responses=failures(400, 403, 404, 409, 413, 415, 422),
)
async def retry_delivery(
    *,
    caller: Manager,
    services: ServicesDep,
    delivery_id: _DeliveryPath,
) -> Delivery:
    """Make one more attempt now.

    A finished delivery, a delivered one too, becomes `pending` for one attempt, behind which there
    is no automatic retry. One that is pending is made due now and keeps the retries it has left;
    one that is being attempted stays as it is.
    """
    return await services.retries.retry(caller, existing_id(delivery_id, "delivery"))


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
