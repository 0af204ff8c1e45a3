"""What a replay sends again, found a page at a time, in the order of acceptance.

A page is looked for on one day, then on more and more of them until there is enough: a statement
plans over a few days' partitions, and days that have nothing cost next to nothing. Deliveries and
events have ids of the same kind, which name their moments, so one cursor walks over both.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import RowMapping, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from hookline.db.queue_models import AcceptedEvent, FinishedDelivery, PendingDelivery
from hookline.domain.deliveries import DeliveryStatus
from hookline.history.ranges import (
    IdRange,
    Row,
    bounds,
    kept_days,
    oldest_first,
    ranges_of_deliveries,
    read_range,
)

_PAYLOADS_AT_ONCE = 16  # events, of a megabyte each at the most
_STILL_GOOD = frozenset({DeliveryStatus.PENDING.value, DeliveryStatus.DELIVERED.value})


@dataclass(frozen=True, slots=True)
class Selected:
    """Which deliveries of an integration a replay is about; `beyond`: from this id on none.

    `job_id` is the replay's own: what it queued itself is not sent once more.
    """

    integration_id: str
    pbx: str | None  # of the events that it may miss
    company: str | None  # of those without a PBX
    statuses: Sequence[str]
    types: Sequence[str] | None
    missing: bool
    beyond: UUID
    job_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event to send again; `position` is where the cursor stands behind it."""

    position: UUID
    event_id: UUID
    type: str
    subject: str
    payload_bytes: int
    omit: Sequence[str] | None  # paths that its first copy left out


@dataclass(frozen=True, slots=True)
class Page:
    """What was found up to `end`; nothing follows where that is the selection's `beyond`."""

    candidates: list[Candidate]
    end: UUID

    def cut(self, most: int) -> "Page":
        """Return the page's first candidates; its end is then the last of them."""
        if len(self.candidates) <= most:
            return self
        kept = self.candidates[:most]
        return Page(kept, kept[-1].position)


Wants = Callable[[str | None, str, str], bool]
"""Whether the integration would get an event today: its PBX, its type, its subject."""

Passes = Callable[[bytes], bool]
"""Whether an event passes the integration's filter, by its payload."""


async def find_page(  # noqa: PLR0913 - the two questions are asked of different things
    connection: AsyncConnection,
    selected: Selected,
    after: UUID,
    wants: Wants,
    passes: Passes | None,
    *,
    most: int,
) -> Page:
    """Look at up to `most` deliveries, and as many events, behind the id `after`.

    Events that were never sent have to be wanted and, where there is a filter, to pass it.
    """
    days = await kept_days(connection)
    if days is None:
        return Page([], selected.beyond)
    candidates: list[Candidate] = []
    end, looked_at = selected.beyond, 0
    for within in oldest_first(after, selected.beyond, days):
        rows = await _rows(connection, selected, within, most)
        candidates += await _chosen(connection, selected, rows, wants, passes)
        end, looked_at = rows.end, looked_at + len(rows.finished) + len(rows.events)
        if end != within.last or looked_at >= most:
            break
    return Page(candidates, end)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Ended deliveries, and events, of a range of ids, up to `end`."""

    finished: Sequence[RowMapping]
    events: Sequence[RowMapping]
    end: UUID


async def _rows(
    connection: AsyncConnection, selected: Selected, within: IdRange, most: int
) -> _Rows:
    finished = await _finished(connection, selected, within, most)
    events = await _events(connection, selected, within, most) if selected.missing else []
    full = [rows[-1]["id"] for rows in (finished, events) if len(rows) == most]
    end = min(full, default=within.last)
    return _Rows(
        [row for row in finished if row["id"] <= end],
        [row for row in events if row["id"] <= end],
        end,
    )


async def _chosen(
    connection: AsyncConnection,
    selected: Selected,
    rows: _Rows,
    wants: Wants,
    passes: Passes | None,
) -> list[Candidate]:
    """Return those of these rows that are to be sent again, in the order of their ids."""
    events = [row for row in rows.events if wants(row["pbx"], row["type"], row["subject"])]
    named = {row["event_id"] for row in rows.finished} | {row["id"] for row in events}
    had = await _deliveries_of(connection, selected.integration_id, named)
    chosen = [
        (row["id"], row["event_id"], row["omit"])
        for row in rows.finished
        if _counts(row, had.get(row["event_id"], ()), selected)
    ]
    missed = [row["id"] for row in events if row["id"] not in had]
    if passes is not None:
        missed = await _passing(connection, missed, passes)
    chosen += [(event_id, event_id, None) for event_id in missed]
    return await _candidates(connection, sorted(chosen, key=lambda each: each[0]))


def _counts(row: RowMapping, of_event: Sequence[RowMapping], selected: Selected) -> bool:
    """Tell whether this delivery is the one of its event that is to be sent again.

    Not where a later one of the same period stands for the event, nor where it got there, or is on
    its way, since.
    """
    for other in of_event:
        if other["id"] == row["id"]:
            continue
        if selected.job_id is not None and other["replay"] == selected.job_id:
            return False
        if other["id"] < row["id"]:
            continue
        if other["id"] < selected.beyond:
            return False
        if row["status"] != DeliveryStatus.DELIVERED and other["status"] in _STILL_GOOD:
            return False
    return True


async def _finished(
    connection: AsyncConnection, selected: Selected, within: IdRange, most: int
) -> Sequence[RowMapping]:
    table = FinishedDelivery
    query = (
        select(table.id, table.event_id, table.status, table.omit)
        .where(
            table.integration_id == selected.integration_id,
            *bounds(table.id, within),
            table.status.in_(selected.statuses),
            table.replay.is_distinct_from(selected.job_id)
            if selected.job_id is not None
            else table.id.is_not(None),
        )
        .order_by(table.id)
        .limit(most)
    )
    if selected.types is not None:
        query = query.where(table.type.in_(selected.types))
    return await read_range(connection, query)


async def _events(
    connection: AsyncConnection, selected: Selected, within: IdRange, most: int
) -> Sequence[RowMapping]:
    """Return the events that the integration was, or would have been, considered for."""
    table = AcceptedEvent
    of_company = (table.pbx.is_(None), table.company == selected.company)
    owned = [
        condition
        for condition, owner in (
            ((table.pbx == selected.pbx,), selected.pbx),
            (of_company, selected.company),
        )
        if owner is not None
    ]
    found: list[RowMapping] = []
    for condition in owned:
        query = (
            select(table.id, table.pbx, table.type, table.subject)
            .where(
                *condition,
                *bounds(table.id, within),
                table.erased_at.is_(None),
            )
            .order_by(table.id)
            .limit(most)
        )
        if selected.types is not None:
            query = query.where(table.type.in_(selected.types))
        found += await read_range(connection, query)
    return sorted(found, key=lambda row: row["id"])[:most]


async def _deliveries_of(
    connection: AsyncConnection, integration_id: str, event_ids: set[UUID]
) -> Mapping[UUID, list[RowMapping]]:
    """Return every delivery that the integration has of these events, by event."""
    found: dict[UUID, list[RowMapping]] = {}
    if not event_ids:
        return found
    first, last = min(event_ids), max(event_ids)
    for within in await ranges_of_deliveries(connection, first, last, integration_id):
        for row in await read_range(connection, _had(integration_id, event_ids, within)):
            found.setdefault(row["event_id"], []).append(row)
    return found


def _had(integration_id: str, event_ids: set[UUID], within: IdRange) -> Row:
    pending, finished = PendingDelivery, FinishedDelivery
    still = select(
        pending.id,
        pending.event_id,
        literal(DeliveryStatus.PENDING.value).label("status"),
        pending.replay,
    ).where(
        pending.integration_id == integration_id,
        pending.event_id.in_(event_ids),
        *bounds(pending.id, within),
    )
    ended = select(finished.id, finished.event_id, finished.status, finished.replay).where(
        finished.integration_id == integration_id,
        finished.event_id.in_(event_ids),
        *bounds(finished.id, within),
    )
    return select(union_all(still, ended).subquery())


async def _passing(
    connection: AsyncConnection, event_ids: Sequence[UUID], passes: Passes
) -> list[UUID]:
    """Return those whose payloads pass a filter; a few of them are in memory at a time."""
    table = AcceptedEvent
    passing: list[UUID] = []
    for start in range(0, len(event_ids), _PAYLOADS_AT_ONCE):
        some = event_ids[start : start + _PAYLOADS_AT_ONCE]
        query = select(table.id, table.payload).where(
            table.id.in_(some), table.id >= some[0], table.id <= some[-1]
        )
        for row in await read_range(connection, query):
            if passes(row["payload"]):
                passing.append(row["id"])
            await asyncio.sleep(0)  # others have their turn
    return sorted(passing)


async def _candidates(
    connection: AsyncConnection, chosen: Sequence[tuple[UUID, UUID, Sequence[str] | None]]
) -> list[Candidate]:
    """Return those whose events are still stored, and not erased."""
    if not chosen:
        return []
    table = AcceptedEvent
    ids = {event_id for _, event_id, _ in chosen}
    query = select(
        table.id, table.type, table.subject, func.octet_length(table.payload).label("size")
    ).where(
        table.id.in_(ids), table.id >= min(ids), table.id <= max(ids), table.erased_at.is_(None)
    )
    events = {row["id"]: row for row in await read_range(connection, query)}
    candidates = []
    for position, event_id, omit in chosen:
        if (event := events.get(event_id)) is not None:
            candidates.append(
                Candidate(position, event_id, event["type"], event["subject"], event["size"], omit)
            )
    return candidates
