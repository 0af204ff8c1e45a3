"""The read side's SQL: each statement uses an index, and bounds on ids leave out partitions.

A delivery moves from `pending` to `deliveries` and may move back; one statement reads both, so no
delivery is missed or seen twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Label,
    Select,
    Text,
    Uuid,
    any_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute

from hookline.db.models import Integration
from hookline.db.queue_models import (
    AcceptedEvent,
    DeliveryAttempt,
    FinishedDelivery,
    PendingDelivery,
)
from hookline.db.visibility import events_seen_by, integrations_seen_by
from hookline.domain.access import Principal
from hookline.domain.deliveries import DeliveryStatus
from hookline.history.ranges import ALWAYS, IdRange, Period, Row

_Column = ColumnElement[Any] | InstrumentedAttribute[Any]  # Any: of whichever type
DeliveryTable = type[PendingDelivery] | type[FinishedDelivery]


@dataclass(frozen=True, slots=True)
class WantedEvents:
    """Which events a list is about; None: whatever it is. `subject` is the envelope's id."""

    pbx: str | None = None
    company: str | None = None
    type: str | None = None
    subject: str | None = None
    accepted: Period = ALWAYS


@dataclass(frozen=True, slots=True)
class WantedDeliveries:
    """Which deliveries a list is about; None, and no statuses: whatever it is."""

    integration_id: str | None = None
    statuses: frozenset[DeliveryStatus] = frozenset()
    type: str | None = None
    created: Period = ALWAYS


def events(principal: Principal, wanted: WantedEvents, within: IdRange, limit: int) -> Row:
    """Select the newest events of a range of ids, without their payloads."""
    table = AcceptedEvent
    query = select(table.id, table.pbx, table.company, table.type, table.subject, table.time).where(
        events_seen_by(principal), *_bounds(table.id, within)
    )
    filters: dict[Any, str | None] = {
        table.pbx: wanted.pbx,
        table.company: wanted.company,
        table.type: wanted.type,
        table.subject: wanted.subject,
    }
    for column, value in filters.items():
        if value is not None:
            query = query.where(column == value)
    return query.order_by(table.id.desc()).limit(limit)


def event(principal: Principal, event_id: UUID) -> Row:
    """Select one event of whomever, and whether it belongs to the key's PBX or company."""
    table = AcceptedEvent
    own = events_seen_by(principal).label("own")
    return select(table.id, table.payload, table.skipped, table.erased_at, own).where(
        table.id == event_id
    )


def sizes(event_ids: Sequence[UUID]) -> Row:
    """Select the payloads' sizes of those of some events that were not erased."""
    table = AcceptedEvent
    size = func.octet_length(table.payload).label("size")
    return select(table.id, size).where(*_among(event_ids), table.erased_at.is_(None))


def payloads(event_ids: Sequence[UUID]) -> Row:
    """Select the payloads of some events."""
    return select(AcceptedEvent.id, AcceptedEvent.payload).where(*_among(event_ids))


def _among(event_ids: Sequence[UUID]) -> list[ColumnElement[bool]]:
    """Name events, within the days that they can be of."""
    table = AcceptedEvent
    return [table.id.in_(event_ids), table.id >= min(event_ids), table.id <= max(event_ids)]


def deliveries_of_event(event_id: UUID, within: IdRange) -> Row:
    """Select the deliveries of one event that are in a range of ids."""
    arms = [
        select(*_columns(table)).where(table.event_id == event_id, *_bounds(table.id, within))
        for table in (PendingDelivery, FinishedDelivery)
    ]
    return select(union_all(*arms).subquery())


def seen_integrations(principal: Principal, among: Sequence[str]) -> Select[str]:
    """Select those of some integrations that the key may see."""
    return select(Integration.id).where(
        Integration.id.in_(sorted(among)), integrations_seen_by(principal)
    )


def deliveries(principal: Principal, wanted: WantedDeliveries, within: IdRange, limit: int) -> Row:
    """Select the newest deliveries of a range of ids."""
    finished = sorted(wanted.statuses - {DeliveryStatus.PENDING})
    pages = [
        _arm(FinishedDelivery, principal, wanted, within, limit, status) for status in finished
    ]
    if not wanted.statuses:
        pages.append(_arm(FinishedDelivery, principal, wanted, within, limit))
    if not wanted.statuses or DeliveryStatus.PENDING in wanted.statuses:
        pages.append(_arm(PendingDelivery, principal, wanted, within, limit))
    all_of_them = union_all(*(select(page.subquery()) for page in pages)).subquery()
    return select(all_of_them).order_by(all_of_them.c.id.desc()).limit(limit)


def delivery(principal: Principal, delivery_id: UUID) -> Row:
    """Select one delivery."""
    seen = select(Integration.id).where(integrations_seen_by(principal))
    arms = [
        select(*_columns(table)).where(
            table.id == delivery_id,
            true() if principal.is_admin else table.integration_id.in_(seen),
        )
        for table in (PendingDelivery, FinishedDelivery)
    ]
    return select(union_all(*arms).subquery())


def finished(delivery_ids: Sequence[UUID]) -> Row:
    """Select those of some deliveries that have ended."""
    table = FinishedDelivery
    wanted = any_(cast(list(delivery_ids), ARRAY(Uuid())))
    return select(*_columns(table)).where(table.id == wanted)


def attempts(delivery_ids: Sequence[UUID]) -> Row:
    """Select the attempts of some deliveries, in order."""
    table = DeliveryAttempt
    return (
        select(table)
        .where(table.delivery_id == any_(cast(list(delivery_ids), ARRAY(Uuid()))))
        .order_by(table.delivery_id, table.number)
        .with_only_columns(*table.__table__.columns)
    )


def _columns(table: DeliveryTable) -> list[_Column]:
    shared: list[_Column] = [
        table.id,
        table.event_id,
        table.integration_id,
        table.type,
        table.replay,
    ]
    if table is FinishedDelivery:
        finished = FinishedDelivery
        never = cast(null(), DateTime(timezone=True)).label("next_attempt_at")
        return [*shared, finished.status, finished.reason, never]
    return [
        *shared,
        literal(DeliveryStatus.PENDING.value).label("status"),
        cast(null(), Text).label("reason"),
        _next_attempt(),
    ]


def _next_attempt() -> Label[datetime | None]:
    """Return when a pending delivery is due; a lease that ran out leaves it due."""
    table = PendingDelivery
    free = or_(table.leased_until.is_(None), table.leased_until <= func.now())
    return case((free, table.due_at)).label("next_attempt_at")


def _arm(  # noqa: PLR0913, PLR0917 - what is wanted, of which table
    table: DeliveryTable,
    principal: Principal,
    wanted: WantedDeliveries,
    within: IdRange,
    limit: int,
    status: DeliveryStatus | None = None,
) -> Row:
    """Select one table's part of a page, of one status where it is given.

    For a tenant: each integration's part through the index on it, so that its list costs what its
    own integrations do, whatever others have.
    """
    part = select(*_columns(table)).where(*_bounds(table.id, within))
    if wanted.type is not None:
        part = part.where(table.type == wanted.type)
    if status is not None:
        part = part.where(FinishedDelivery.status == status.value)
    part = part.order_by(table.id.desc()).limit(limit)
    if principal.is_admin:
        one = wanted.integration_id
        return part if one is None else part.where(table.integration_id == one)
    seen = select(Integration.id).where(integrations_seen_by(principal))
    if wanted.integration_id is not None:
        seen = seen.where(Integration.id == wanted.integration_id)
    each = seen.subquery("seen")
    of_each = part.where(table.integration_id == each.c.id).lateral()
    return select(of_each).select_from(each.join(of_each, true()))


def _bounds(column: Any, within: IdRange) -> list[ColumnElement[bool]]:  # noqa: ANN401 - a mapped UUID column; its type differs with the access
    """Bound the ids, which name their moments, and with them the partitions."""
    bounds: list[ColumnElement[bool]] = []
    if within.low is not None:
        bounds.append(column >= within.low)
    if within.high is not None:
        bounds.append(column < within.high)
    return bounds
