"""The read side's SQL: each statement uses an index, and bounds on ids leave out partitions.

A delivery moves from `pending` to `deliveries` and may move back; one statement reads both, so no
delivery is missed or seen twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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

from hookline.db.models import (
    AcceptedEvent,
    DeliveryAttempt,
    FinishedDelivery,
    Integration,
    PendingDelivery,
)
from hookline.db.visibility import events_seen_by, integrations_seen_by
from hookline.domain.access import Principal
from hookline.domain.deliveries import DeliveryStatus
from hookline.domain.ids import created_at, lowest_uuid

_FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)  # no UUIDv7 names an earlier one

Row = Select[*tuple[Any, ...]]  # Any: rows are read by column name
_Column = ColumnElement[Any] | InstrumentedAttribute[Any]  # Any: of whichever type
DeliveryTable = type[PendingDelivery] | type[FinishedDelivery]


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` up to, and without, `until`, to the millisecond."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class WantedEvents:
    """Which events a list is about; None: whatever it is. `subject` is the envelope's id."""

    pbx: str | None = None
    company: str | None = None
    type: str | None = None
    subject: str | None = None
    accepted: Period = Period()


@dataclass(frozen=True, slots=True)
class WantedDeliveries:
    """Which deliveries a list is about; None, and no statuses: whatever it is."""

    integration_id: str | None = None
    statuses: frozenset[DeliveryStatus] = frozenset()
    type: str | None = None
    created: Period = Period()


def events(principal: Principal, wanted: WantedEvents, before: UUID | None, limit: int) -> Row:
    """Select a page of events, newest first, without their payloads."""
    table = AcceptedEvent
    query = select(table.id, table.pbx, table.company, table.type, table.subject, table.time).where(
        events_seen_by(principal), *_bounds(table.id, wanted.accepted, before)
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
    return select(table.id, table.payload, table.skipped, own).where(table.id == event_id)


def deliveries_of_event(event_id: UUID) -> Row:
    """Select all deliveries of one event; none is older than the event."""
    oldest = lowest_uuid(created_at(event_id))
    arms = [
        select(*_columns(table)).where(table.event_id == event_id, table.id >= oldest)
        for table in (PendingDelivery, FinishedDelivery)
    ]
    both = union_all(*arms).subquery()
    return select(both).order_by(both.c.integration_id, both.c.id)


def seen_integrations(principal: Principal, among: Sequence[str]) -> Select[str]:
    """Select those of some integrations that the key may see."""
    return select(Integration.id).where(
        Integration.id.in_(sorted(among)), integrations_seen_by(principal)
    )


def deliveries(
    principal: Principal, wanted: WantedDeliveries, before: UUID | None, limit: int
) -> Row:
    """Select a page of deliveries, newest first."""
    arms = [
        _arm(table, principal, wanted, before, limit)
        for table in (PendingDelivery, FinishedDelivery)
        if _holds(table, wanted.statuses)
    ]
    both = union_all(*(select(arm.subquery()) for arm in arms)).subquery()
    return select(both).order_by(both.c.id.desc()).limit(limit)


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


def attempts(delivery_ids: Sequence[UUID]) -> Row:
    """Select the attempts of some deliveries, in order."""
    table = DeliveryAttempt
    return (
        select(table)
        .where(
            table.delivery_id == any_(cast(list(delivery_ids), ARRAY(Uuid()))),
            table.delivery_id >= min(delivery_ids),
            table.delivery_id <= max(delivery_ids),
        )
        .order_by(table.delivery_id, table.number)
        .with_only_columns(*table.__table__.columns)
    )


def _columns(table: DeliveryTable) -> list[_Column]:
    shared: list[_Column] = [table.id, table.event_id, table.integration_id, table.type]
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
    free = or_(table.lease.is_(None), table.due_at <= func.now())
    return case((free, table.due_at)).label("next_attempt_at")


def _arm(
    table: DeliveryTable,
    principal: Principal,
    wanted: WantedDeliveries,
    before: UUID | None,
    limit: int,
) -> Row:
    """Select one table's part of a page.

    For a tenant: each integration's part through the index on it, so that its list costs what its
    own integrations do, whatever others have.
    """
    part = select(*_columns(table)).where(*_bounds(table.id, wanted.created, before))
    if wanted.type is not None:
        part = part.where(table.type == wanted.type)
    if table is FinishedDelivery and wanted.statuses:
        statuses = sorted(status.value for status in wanted.statuses)
        part = part.where(FinishedDelivery.status.in_(statuses))
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


def _holds(table: DeliveryTable, statuses: frozenset[DeliveryStatus]) -> bool:
    """Tell whether deliveries of these statuses can be in this table."""
    if not statuses:
        return True
    return (
        DeliveryStatus.PENDING in statuses
        if table is PendingDelivery
        else bool(statuses - {DeliveryStatus.PENDING})
    )


def _bounds(
    column: Any,  # noqa: ANN401 - a mapped UUID column; its type differs with the access
    period: Period,
    before: UUID | None,
) -> list[ColumnElement[bool]]:
    """Bound the ids, which name their moments, and with them the partitions."""
    bounds: list[ColumnElement[bool]] = []
    if period.since is not None:
        bounds.append(column >= _lowest(period.since))
    if period.until is not None:
        bounds.append(column < _lowest(period.until))
    if before is not None:
        bounds.append(column < before)
    return bounds


def _lowest(moment: datetime) -> UUID:
    return lowest_uuid(max(moment, _FIRST_MOMENT))
