"""The read side's SQL: each statement uses an index, and bounds on ids leave out partitions.

A delivery moves from `pending` to `deliveries` and may move back; one statement, or one snapshot,
reads both, so no delivery is missed or seen twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    DateTime,
    Label,
    Select,
    Text,
    Uuid,
    any_,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    tuple_,
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
from hookline.db.visibility import (
    events_of_own_pbxs,
    events_seen_by,
    integrations_seen_by,
    pbx_of_another,
)
from hookline.domain.access import Principal
from hookline.domain.deliveries import DeliveryStatus
from hookline.history.ranges import ALWAYS, IdRange, Period, Row, bounds

_LOWEST, _HIGHEST = UUID(int=0), UUID(int=(1 << 128) - 1)
_Column = ColumnElement[Any] | InstrumentedAttribute[Any]  # Any: of whichever type
_Key = Sequence[tuple[_Column, ColumnElement[Any]]]  # Any: as above
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


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of a page that one index has: what it is of, and begins with but for id and type."""

    table: DeliveryTable
    conditions: tuple[ColumnElement[bool], ...] = ()
    before: _Key = ()  # the integration
    behind: _Key = ()


def events(principal: Principal, wanted: WantedEvents, within: IdRange, limit: int) -> Row:
    """Select the newest events of a range of ids, without their payloads."""
    table = AcceptedEvent
    query = select(table.id, table.pbx, table.company, table.type, table.subject, table.time)
    if principal.company is not None and wanted.pbx is not None:
        query = query.where(~pbx_of_another(literal(wanted.pbx), principal.company))
    filters: dict[Any, str | None] = {
        table.pbx: wanted.pbx or principal.pbx,
        table.company: wanted.company or principal.company,
        table.type: wanted.type,
        table.subject: wanted.subject,
    }
    asked = {column: value for column, value in filters.items() if value is not None}
    leading = (table.subject,) if wanted.subject is not None else (table.pbx, table.company)
    columns: list[_Column] = []
    columns += [column for column in leading if column in asked][:1]
    if wanted.type is not None and wanted.subject is None:
        columns.append(table.type)
    in_key = {str(column.key) for column in columns}
    for column, value in asked.items():
        if column.key not in in_key:  # what no index is good for, so that the key's own is read
            query = query.where(column.is_not_distinct_from(value))
    query = query.where(_seen(principal, {column.key: value for column, value in asked.items()}))
    key = [(column, literal(asked[column])) for column in columns]
    return _newest(query, table.id, key, within, limit)


def owners_asked(principal: Principal, wanted: WantedEvents) -> tuple[str, str] | None:
    """Return the PBX and the company that events are asked for by, where it is by both.

    No index has both; of a subject's events there are few. A company's key names the company.
    """
    pbx, company = wanted.pbx or principal.pbx, wanted.company or principal.company
    return None if pbx is None or company is None or wanted.subject is not None else (pbx, company)


def events_of_pbx(
    principal: Principal, wanted: WantedEvents, pbx: str, within: IdRange, limit: int
) -> Row:
    """Select the newest events of a PBX, whichever company they name; none that is another's."""
    table = AcceptedEvent
    query = select(table.id, table.pbx, table.company, table.type, table.subject, table.time)
    named = wanted.company in {None, principal.company} or principal.company is None
    if not (principal.manages and named and principal.pbx in {None, pbx}):
        query = query.where(false())
    if principal.company is not None:
        query = query.where(~pbx_of_another(literal(pbx), principal.company))
    key: list[tuple[_Column, ColumnElement[Any]]] = [(table.pbx, literal(pbx))]
    if wanted.type is not None:
        key.append((table.type, literal(wanted.type)))
    return _newest(query, table.id, key, within, limit)


def events_naming(company: str, of_pbx: Row, limit: int) -> Row:
    """Select those that name a company among a PBX's newest events, as `recent_of` does."""
    newest = of_pbx.cte("newest")
    return _among_newest(newest, newest.c.company == company, limit)


def _seen(principal: Principal, asked: Mapping[str, str]) -> ColumnElement[bool]:
    """Say what a key may see of events that are compared with these values by column."""
    own = {"pbx": principal.pbx, "company": principal.company}
    owner = next((column for column, value in own.items() if value is not None), None)
    if owner is None or not principal.manages:
        return events_seen_by(principal)
    return events_of_own_pbxs(principal) if asked[owner] == own[owner] else false()


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
        select(*_columns(table)).where(table.event_id == event_id, *bounds(table.id, within))
        for table in (PendingDelivery, FinishedDelivery)
    ]
    return select(union_all(*arms).subquery())


def seen_integrations(principal: Principal, among: Sequence[str] | None = None) -> Select[str]:
    """Select the integrations that the key may see, of all or of some."""
    query: Select[str] = select(Integration.id).where(integrations_seen_by(principal))
    return query if among is None else query.where(Integration.id.in_(sorted(among)))


def deliveries(
    integrations: Sequence[str] | None, wanted: WantedDeliveries, within: IdRange, limit: int
) -> Row:
    """Select the newest finished deliveries of a range of ids; of these integrations, or of all."""
    table = FinishedDelivery
    parts = []
    for status in sorted(wanted.statuses - {DeliveryStatus.PENDING}):
        if status is DeliveryStatus.DELIVERED:  # most are: these have no index of their own
            parts.append(_Part(table, (table.status == status.value,)))
        else:
            undelivered = table.status != literal_column("'delivered'")
            parts.append(
                _Part(table, (undelivered,), behind=((table.status, literal(status.value)),))
            )
    return _page(parts or [_Part(table)], integrations, wanted, within, limit)


def recent_of(integrations: Sequence[str], everybodys: Row, limit: int) -> Row:
    """Select those of these integrations among everybody's newest deliveries.

    Each row has how many there were (`looked_at`) and the lowest id of them; without any other
    column where none is of these integrations. Where these have a share of what is asked for, or
    nobody has much of it, this costs less than a scan for each integration and day.
    """
    newest = everybodys.cte("newest")
    ids = func.unnest(cast(list(integrations), ARRAY(Text))).table_valued("id").render_derived()
    return _among_newest(newest, newest.c.integration_id.in_(select(ids.c.id)), limit)


def _among_newest(newest: CTE, condition: ColumnElement[bool], limit: int) -> Row:
    chosen = select(newest).where(condition).order_by(newest.c.id.desc()).limit(limit).subquery()
    lowest = select(newest.c.id).order_by(newest.c.id).limit(1).scalar_subquery()
    counted = (
        select(func.count().label("looked_at"), lowest.label("lowest")).select_from(newest)
    ).subquery()
    return select(counted, chosen).select_from(counted.outerjoin(chosen, true()))


def pending(
    integrations: Sequence[str] | None, wanted: WantedDeliveries, within: IdRange, limit: int
) -> Row:
    """Select the newest pending deliveries of a range of ids; of these integrations, or of all.

    A type has an index of what waits alone. Leased are no more than are in flight: it is looked for
    among them one by one.
    """
    table = PendingDelivery
    if integrations is None and wanted.type is None:
        return _page([_Part(table)], None, wanted, within, limit)
    is_leased = table.leased_until.is_not(None)
    leased, waiting = (_Part(table, before=((is_leased, literal(each)),)) for each in (True, False))
    if wanted.type is not None:
        waiting = _Part(table, (table.leased_until.is_(None),))
    return _page([leased, waiting], integrations, wanted, within, limit)


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


def _page(
    parts: Sequence[_Part],
    integrations: Sequence[str] | None,
    wanted: WantedDeliveries,
    within: IdRange,
    limit: int,
) -> Row:
    """Select the newest of all parts together."""
    pages = [_of_integrations(part, integrations, wanted, within, limit) for part in parts]
    all_of_them = union_all(*(select(page.subquery()) for page in pages)).subquery()
    return select(all_of_them).order_by(all_of_them.c.id.desc()).limit(limit)


def _of_integrations(
    part: _Part,
    integrations: Sequence[str] | None,
    wanted: WantedDeliveries,
    within: IdRange,
    limit: int,
) -> Row:
    """Select one part of a page.

    Of several integrations: each one's through the index on it, so that a tenant's list costs what
    its own integrations do, whatever others have.
    """
    if integrations is None:
        return _of_one(part, None, wanted, within, limit)
    if len(integrations) == 1:
        return _of_one(part, literal(integrations[0]), wanted, within, limit)
    each = func.unnest(cast(list(integrations), ARRAY(Text))).table_valued("id").render_derived()
    of_each = _of_one(part, each.c.id, wanted, within, limit).lateral()
    return select(of_each).select_from(each.join(of_each, true()))


def _of_one(
    part: _Part,
    integration: ColumnElement[str] | None,
    wanted: WantedDeliveries,
    within: IdRange,
    limit: int,
) -> Row:
    table = part.table
    key = [*part.before]
    if integration is not None:
        key.append((table.integration_id, integration))
    key += part.behind
    if wanted.type is not None:
        key.append((table.type, literal(wanted.type)))
    query = select(*_columns(table)).where(*part.conditions)
    return _newest(query, table.id, key, within, limit)


def _newest(
    query: Row,
    identifier: InstrumentedAttribute[UUID],
    key: _Key,
    within: IdRange,
    limit: int,
) -> Row:
    """Order a query by its ids, the newest first, through the index that begins with a key.

    The key is compared and ordered by as a row, which no other index is good for: whatever the
    planner takes for rare or common, and statistics of a day that has just begun are wrong, it
    reads nothing but the page. Its columns must not be compared by `=` besides: their order would
    be that of any index that begins with one of them. Beside it ids are bounded by whole days, to
    leave partitions out: by the very ones, the index of ids would seem better for an hour's list,
    and all that others have in it be read for each integration.
    """
    if not key:
        query = query.where(*bounds(identifier, within))
    elif identifier.class_ is not PendingDelivery:  # which has no days to leave out
        query = query.where(*bounds(identifier, within.whole_days))
    if key:
        columns, values = zip(*key, strict=True)
        row = tuple_(*columns, identifier)
        high = tuple_(*values, literal(within.high or _HIGHEST))
        query = query.where(
            row >= tuple_(*values, literal(within.low or _LOWEST)),
            row <= high if within.high is None else row < high,
        ).order_by(*(column.desc() for column in columns))
    return query.order_by(identifier.desc()).limit(limit)
