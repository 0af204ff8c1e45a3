"""What happened to events and deliveries, read inside the caller's scope; nothing is written."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hookline.db.errors import unavailable_when_away
from hookline.db.partitions import OLDEST_AND_NEWEST, days_between
from hookline.domain import stored
from hookline.domain.access import Principal
from hookline.domain.deliveries import DeliveryStatus, hint_of
from hookline.domain.ids import created_at, lowest_uuid
from hookline.errors import NotFound
from hookline.history import statements
from hookline.history.explanations import detail_of, read_waiting
from hookline.history.ranges import IdRange, newest_first, oldest_first
from hookline.history.schemas import (
    Attempt,
    Delivery,
    EventSummary,
    IntegrationOutcome,
    OutcomeDetail,
)
from hookline.history.statements import WantedDeliveries, WantedEvents


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


class History:
    """The read side. Another tenant's event or delivery does not exist: NotFound.

    Each answer is of one moment, also where it takes several statements. Every method raises
    Unavailable while the database is away, or too slow to answer.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def events(
        self, principal: Principal, wanted: WantedEvents, *, before: UUID | None, limit: int
    ) -> list[EventSummary]:
        """Return up to `limit` events with ids below `before`, newest first."""
        async with self._moment() as connection:
            rows = await _newest(
                connection,
                wanted.accepted.ids(before),
                limit,
                lambda within, most: statements.events(principal, wanted, within, most),
            )
        return [_summary(row) for row in rows]

    async def event(self, principal: Principal, event_id: UUID) -> StoredEvent:
        """Return one event, with the outcomes of the integrations that the key may see.

        It is the key's business where it belongs to its PBX or company, or where one of its
        integrations was considered for it.
        """
        async with self._moment() as connection:
            found = await connection.execute(statements.event(principal, event_id))
            row = found.mappings().one_or_none()
            if row is None:
                raise _no_such_event(event_id)
            outcomes = await _outcomes(connection, principal, row)
        if not row["own"] and not outcomes:
            raise _no_such_event(event_id)
        return StoredEvent(row["id"], row["payload"], tuple(outcomes), row["erased_at"])

    async def payloads(self, event_ids: Sequence[UUID], *, most_bytes: int) -> dict[UUID, bytes]:
        """Return the payloads of events that were seen, in this order, as many as fit.

        Those that were erased are left out.
        """
        if not event_ids:
            return {}
        async with self._moment() as connection:
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
    ) -> list[Delivery]:
        """Return up to `limit` deliveries with ids below `before`, newest first."""
        async with self._moment() as connection:
            rows = await _newest(
                connection,
                wanted.created.ids(before),
                limit,
                lambda within, most: statements.deliveries(principal, wanted, within, most),
            )
            return await _with_attempts(connection, rows)

    async def delivery(self, principal: Principal, delivery_id: UUID) -> Delivery:
        """Return one delivery with its attempts."""
        async with self._moment() as connection:
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
        async with self._moment() as connection:
            query = statements.finished(delivery_ids)
            rows = (await connection.execute(query)).mappings().all()
            found = await _with_attempts(connection, rows)
        return {delivery.id: delivery for delivery in found}

    @asynccontextmanager
    async def _moment(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction whose statements all see the same moment."""
        with unavailable_when_away():
            async with self._engine.connect() as connection:
                yield await connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )


async def _newest(
    connection: AsyncConnection,
    wanted: IdRange,
    limit: int,
    select: Callable[[IdRange, int], statements.Row],
) -> list[RowMapping]:
    """Return the newest rows of a range of ids, going back over the days until they are enough."""
    rows: list[RowMapping] = []
    for within in newest_first(wanted, await _days(connection)):
        rows += await _look(connection, select(within, limit - len(rows)))
        if len(rows) >= limit:
            break
    return rows


async def _look(connection: AsyncConnection, query: statements.Row) -> Sequence[RowMapping]:
    """Return a range's rows and give its locks back, which are several for each partition."""
    nested = await connection.begin_nested()
    rows = (await connection.execute(query)).mappings().all()
    await nested.rollback()
    return rows


async def _days(connection: AsyncConnection) -> tuple[date, date] | None:
    return days_between(*(await connection.execute(text(OLDEST_AND_NEWEST))).one())


async def _outcomes(
    connection: AsyncConnection, principal: Principal, event: RowMapping
) -> list[IntegrationOutcome]:
    """Return outcomes with a delivery first, then the others; each part by integration."""
    delivered: list[RowMapping] = []
    oldest = lowest_uuid(created_at(event["id"]))  # no delivery is older than its event
    for within in oldest_first(oldest, await _days(connection)):
        query = statements.deliveries_of_event(event["id"], within)
        delivered += await _look(connection, query)
    delivered.sort(key=lambda row: (row["integration_id"], row["id"]))
    outcomes = await _explained(connection, delivered)
    having_one = {outcome.integration_id for outcome in outcomes}
    outcomes += [o for o in _noted(event["skipped"]) if o.integration_id not in having_one]
    if principal.is_admin or not outcomes:
        return outcomes
    among = {outcome.integration_id for outcome in outcomes}
    seen = set(await connection.scalars(statements.seen_integrations(principal, sorted(among))))
    return [outcome for outcome in outcomes if outcome.integration_id in seen]


async def _explained(
    connection: AsyncConnection, rows: Sequence[RowMapping]
) -> list[IntegrationOutcome]:
    """Return deliveries as outcomes, each with why it stands so."""
    pending = [row for row in rows if row["status"] == DeliveryStatus.PENDING]
    waiting = await read_waiting(connection, pending)
    made = await _attempts_of(connection, rows)
    return [_outcome(row, detail_of(row, made[row["id"]], waiting)) for row in rows]


def _noted(note: str | None) -> list[IntegrationOutcome]:
    """Read an event's note of who did not get it: reason → integration ids."""
    reasons: Mapping[str, Sequence[str]] = orjson.loads(note) if note else {}
    noted = [
        IntegrationOutcome(
            integration_id=each,
            status=DeliveryStatus.SKIPPED,
            reason=stored.reason_of(reason),
            delivery_id=None,
            detail=None,
        )
        for reason, integration_ids in reasons.items()
        for each in integration_ids
    ]
    return sorted(noted, key=lambda outcome: outcome.integration_id)


async def _with_attempts(connection: AsyncConnection, rows: Sequence[RowMapping]) -> list[Delivery]:
    made = await _attempts_of(connection, rows)
    return [_delivery(row, made[row["id"]]) for row in rows]


async def _attempts_of(
    connection: AsyncConnection, rows: Sequence[RowMapping]
) -> dict[UUID, list[Attempt]]:
    """Return the attempts of these deliveries, in order, by delivery."""
    if not rows:
        return {}
    made: dict[UUID, list[Attempt]] = {row["id"]: [] for row in rows}
    for row in (await connection.execute(statements.attempts(list(made)))).mappings():
        made[row["delivery_id"]].append(_attempt(row))
    return made


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


def _outcome(row: RowMapping, detail: OutcomeDetail) -> IntegrationOutcome:
    return IntegrationOutcome(
        integration_id=row["integration_id"],
        status=stored.status_of(row["status"]),
        reason=stored.reason_of(row["reason"]),
        delivery_id=row["id"],
        detail=detail,
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


def _attempt(row: RowMapping) -> Attempt:
    response: bytes | None = row["response"]
    return Attempt(
        number=row["number"],
        started_at=row["started_at"],
        duration_ms=row["duration_ms"],
        outcome=stored.attempt_outcome_of(row["outcome"]),
        error=stored.error_of(row["error"]),
        tls_reason=stored.tls_reason_of(row["tls_reason"]),
        status_code=row["status_code"],
        response_body=None if response is None else response.decode(errors="replace"),
        response_defect=stored.response_defect_of(row["response_defect"]),
        hint=hint_of(row["body_bytes"]),
    )


def _no_such_event(event_id: UUID) -> NotFound:
    return NotFound(f"There is no event {event_id}.")
