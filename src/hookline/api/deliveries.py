"""`/v1/deliveries`: each copy on its way, its attempts, and one more attempt on request."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from hookline.api.auth import Manager
from hookline.api.bounded_body import GuardedRoute
from hookline.api.history import EventTypeFilter, Since, Until, existing_id
from hookline.api.pagination import DEFAULT_LIMIT, Cursor, Limit, decode_cursor, encode_cursor
from hookline.api.responses import failures
from hookline.api.services import ServicesDep
from hookline.domain.deliveries import DeliveryStatus
from hookline.history.schemas import Delivery, DeliveryPage
from hookline.history.statements import Period, WantedDeliveries
from hookline.integrations.fields import PRINTABLE

router = APIRouter(prefix="/v1/deliveries", tags=["Deliveries"], route_class=GuardedRoute)


@router.get("", responses=failures(403, 422))
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
    inside the key's scope are listed.
    """
    statuses = frozenset(status or ())
    wanted = WantedDeliveries(integration_id, statuses, type, Period(since, until))
    listing = ("deliveries", integration_id, sorted(statuses), type, wanted.created)
    found = await services.history.deliveries(
        caller, wanted, before=decode_cursor(listing, cursor), limit=limit + 1
    )
    shown = found[:limit]
    following = encode_cursor(listing, shown[-1].id) if len(found) > limit else None
    return DeliveryPage(items=shown, next=following)


@router.get("/{deliveryId}", responses=failures(403, 404, 422))
async def get_delivery(
    *,
    caller: Manager,
    services: ServicesDep,
    delivery_id: Annotated[
        str,
        Path(
            alias="deliveryId",
            description="The delivery's id.",
            json_schema_extra={"format": "uuid"},
        ),
    ],
) -> Delivery:
    """Read a delivery with its attempts."""
    return await services.history.delivery(caller, existing_id(delivery_id, "delivery"))


@router.post("/{deliveryId}/retry", status_code=202, responses=failures(403, 404, 409, 422))
async def retry_delivery(
    *,
    caller: Manager,
    services: ServicesDep,
    delivery_id: Annotated[
        str,
        Path(
            alias="deliveryId",
            description="The delivery's id.",
            json_schema_extra={"format": "uuid"},
        ),
    ],
) -> Delivery:
    """Make one more attempt now.

    A finished delivery, a delivered one too, becomes `pending` for one attempt, behind which there
    is no automatic retry. One that is pending is made due now and keeps the retries it has left;
    one that is being attempted stays as it is.
    """
    return await services.retries.retry(caller, existing_id(delivery_id, "delivery"))
