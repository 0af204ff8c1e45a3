"""What happened to events and deliveries, read inside the caller's scope; nothing is written."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hookline.db.errors import unavailable_when_away
from hookline.domain import stored
from hookline.domain.access import Principal
from hookline.domain.deliveries import DeliveryStatus
from hookline.domain.ids import created_at
from hookline.errors import NotFound
from hookline.history import statements
from hookline.history.explanations import read_attempts, read_outcomes
from hookline.history.ranges import (
    MANY_SCANS,
    IdRange,
    Row,
    kept_days,
    most_days,
    newest_first,
    read_newest,
    read_range,
)
from hookline.history.schemas import (
    Attempt,
    Delivery,
    EventSummary,
    IntegrationOutcome,
)
from hookline.history.statements import WantedDeliveries, WantedEvents

_LOOKED_THROUGH = (500, 5_000)  # of everybody's newest deliveries, at first and then


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An accepted event: its canonical bytes, and its outcome for each integration."""

    id: UUID
    payload: bytes = field(repr=False)
    outcomes: tuple[IntegrationOutcome, ...]
    erased_at: datetime | None = None

    @property
    def accepted_at(self) -> datetime:
        """The moment it was accepted, as its id names it."""
        return created_at(self.id)


_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Found(Generic[_Item]):
    """Items of a list; with `left_off`, those below that id are still to be looked for."""

    items: list[_Item]
    left_off: UUID | None = None


class History:
    """The read side. Another tenant's event or delivery does not exist: NotFound.

    Each answer is of one moment, also where it takes several statements. Every method raises
    Unavailable while the database is away, or too slow to answer.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def events(
        self, principal: Principal, wanted: WantedEvents, *, before: UUID | None, limit: int
    ) -> Found[EventSummary]:
        """Return up to `limit` events with ids below `before`, newest first."""
        ids = wanted.accepted.ids(before)
        owners = statements.owners_asked(principal, wanted)
        async with self._snapshot() as connection:
            if owners is not None:
                pbx, company = owners
                of_pbx = partial(statements.events_of_pbx, principal, wanted, pbx)
                naming = partial(statements.events_naming, company)
                rows, left = await _among_newest(connection, of_pbx, naming, ids, limit)
                return Found([_summary(row) for row in rows], None if left is None else left.high)
            rows, left_off = await read_newest(
                connection,
                ids,
                limit,
                lambda within, most: statements.events(principal, wanted, within, most),
            )
        return Found([_summary(row) for row in rows], left_off)

    async def last_events(
        self, principal: Principal, wanted: WantedEvents, *, most: int
    ) -> list[EventSummary]:
        """Return the newest events, however far back they are: over several pages."""
        page = await self.events(principal, wanted, before=None, limit=most)
        items = page.items
        while len(items) < most and page.left_off is not None:
            page = await self.events(
                principal, wanted, before=page.left_off, limit=most - len(items)
            )
            items += page.items
        return items

    async def event(self, principal: Principal, event_id: UUID) -> StoredEvent:
        """Return one event, with the outcomes of the integrations that the key may see.

        It is the key's business where it belongs to its PBX or company, or where one of its
        integrations was considered for it.
        """
        async with self._snapshot() as connection:
            found = await connection.execute(statements.event(principal, event_id))
            row = found.mappings().one_or_none()
            if row is None:
                raise _no_such_event(event_id)
            outcomes = await read_outcomes(connection, principal, row)
        if not row["own"] and not outcomes:
            raise _no_such_event(event_id)
        return StoredEvent(row["id"], row["payload"], tuple(outcomes), row["erased_at"])

    async def payloads(self, event_ids: Sequence[UUID], *, most_bytes: int) -> dict[UUID, bytes]:
        """Return the payloads of events that were seen, in this order, as many as fit.

        Those that were erased are left out.
        """
        if not event_ids:
            return {}
        async with self._snapshot() as connection:
            found = await connection.execute(statements.sizes(event_ids))
            sizes = {row.id: row.size for row in found}
            chosen, room = [], most_bytes
            for each in event_ids:
                room -= sizes.get(each, 0)
                if room < 0:
                    break
                if each in sizes:
                    chosen.append(each)
            rows = await connection.execute(statements.payloads(chosen)) if chosen else ()
            payloads = {row.id: bytes(row.payload) for row in rows}
        return {each: payloads[each] for each in chosen if each in payloads}

    async def deliveries(
        self, principal: Principal, wanted: WantedDeliveries, *, before: UUID | None, limit: int
    ) -> Found[Delivery]:
        """Return up to `limit` deliveries with ids below `before`, newest first."""
        async with self._snapshot() as connection:
            among = await _integrations(connection, principal, wanted.integration_id)
            if among is not None and not among:
                return Found([])
            within = wanted.created.ids(before)
            rows: list[RowMapping] = []
            left_off: UUID | None = None
            if not wanted.statuses or DeliveryStatus.PENDING in wanted.statuses:
                pending = partial(statements.pending, wanted=wanted)
                rows, left = await _look_through(connection, among, pending, within, limit)
                if left is not None:
                    query = pending(among, within=left, limit=limit)
                    rows += (await connection.execute(query)).mappings().all()
            if wanted.statuses != {DeliveryStatus.PENDING}:
                finished = partial(statements.deliveries, wanted=wanted)
                found, left = await _look_through(connection, among, finished, within, limit)
                rows += found
                if left is not None:
                    rows, left_off = await read_newest(
                        connection,
                        left,
                        limit,
                        lambda days, most: finished(among, within=days, limit=most),
                        known=rows,
                        scans=len(among or ()),
                        parts=len(wanted.statuses - {DeliveryStatus.PENDING}),
                    )
            rows = sorted(rows, key=lambda row: row["id"], reverse=True)[:limit]
            return Found(await _with_attempts(connection, rows), left_off)

    async def delivery(self, principal: Principal, delivery_id: UUID) -> Delivery:
        """Return one delivery with its attempts."""
        async with self._snapshot() as connection:
            query = statements.delivery(principal, delivery_id)
            rows = (await connection.execute(query)).mappings().all()
            if not rows:
                raise NotFound(f"There is no delivery {delivery_id}.")
            [delivery] = await _with_attempts(connection, rows)
        return delivery

    async def settled(self, delivery_ids: Sequence[UUID]) -> dict[UUID, Delivery]:
        """Return those of these deliveries that have ended, whosever they are."""
        if not delivery_ids:
            return {}
        async with self._snapshot() as connection:
            query = statements.finished(delivery_ids)
            rows = (await connection.execute(query)).mappings().all()
            found = await _with_attempts(connection, rows)
        return {delivery.id: delivery for delivery in found}

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction whose statements all see the same moment."""
        with unavailable_when_away():
            async with self._engine.connect() as connection:
                yield await connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )


async def _look_through(
    connection: AsyncConnection,
    among: Sequence[str] | None,
    select: Callable[..., Row],
    within: IdRange,
    limit: int,
) -> tuple[list[RowMapping], IdRange | None]:
    """Look for many integrations' deliveries among everybody's newest, up to a bound.

    Returns what was found, and the ids that are left to be looked at; None: it is the whole page.
    A few integrations' deliveries are all left: each is found at once by its own.
    """
    if among is None or len(among) <= MANY_SCANS:
        return [], within
    chosen = partial(statements.recent_of, among)
    return await _among_newest(connection, partial(select, None), chosen, within, limit)


async def _among_newest(
    connection: AsyncConnection,
    newest: Callable[..., Row],
    chosen: Callable[..., Row],
    within: IdRange,
    limit: int,
) -> tuple[list[RowMapping], IdRange | None]:
    """Choose rows among the newest, up to a bound; return the ids that are left as well."""
    found: list[RowMapping] = []
    kept = await kept_days(connection)
    for room in _LOOKED_THROUGH:
        low = within.high
        for days in newest_first(within, kept, most=most_days(len(_LOOKED_THROUGH))):
            low = days.low
            query = chosen(newest(within=days, limit=room), limit=limit - len(found))
            rows = await read_range(connection, query)
            found += [row for row in rows if row["id"] is not None]
            room -= rows[0]["looked_at"]  # noqa: PLW2901 - what is left of it
            if len(found) >= limit:
                return found, None
            if room <= 0:
                within = IdRange(within.low, rows[0]["lowest"])
                break
        else:
            if low == within.low:
                return found, None
            return found, IdRange(within.low, low)
    return found, within


async def _integrations(
    connection: AsyncConnection, principal: Principal, asked: str | None
) -> list[str] | None:
    """Return whose deliveries a key is shown, or those asked for among them; None: all."""
    if principal.is_admin:
        return None if asked is None else [asked]
    query = statements.seen_integrations(principal, None if asked is None else [asked])
    return list(await connection.scalars(query))


async def _with_attempts(connection: AsyncConnection, rows: Sequence[RowMapping]) -> list[Delivery]:
    made = await read_attempts(connection, rows)
    return [_delivery(row, made[row["id"]]) for row in rows]


def _summary(row: RowMapping) -> EventSummary:
    return EventSummary(
        event_id=row["id"],
        accepted_at=created_at(row["id"]),
        pbx=row["pbx"],
        company=row["company"],
        type=row["type"],
        subject=row["subject"],
        time=row["time"],
    )


def _delivery(row: RowMapping, attempts: list[Attempt]) -> Delivery:
    return Delivery(
        id=row["id"],
        event_id=row["event_id"],
        integration_id=row["integration_id"],
        type=row["type"],
        status=stored.status_of(row["status"]),
        reason=stored.reason_of(row["reason"]),
        next_attempt_at=row["next_attempt_at"],
        created_at=created_at(row["id"]),
        replay=row["replay"],
        attempts=attempts,
    )


def _no_such_event(event_id: UUID) -> NotFound:
    return NotFound(f"There is no event {event_id}.")
