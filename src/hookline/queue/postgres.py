"""The queue on Postgres: each method is one statement, arrays in through unnest."""

import secrets
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import asyncpg

from hookline.db.away import AWAY, BUSY, rerun_when_rolled_back, unavailable
from hookline.domain.deliveries import (
    Delivered,
    DeliveryStatus,
    Failed,
    Outcome,
    RetryAt,
    Skipped,
    SkipReason,
)
from hookline.domain.events import Event
from hookline.domain.ids import lowest_uuid
from hookline.domain.statistics import Ending, code_of
from hookline.errors import Unavailable
from hookline.logs import get_logger
from hookline.queue.arrays import flags, plain, texts
from hookline.queue.port import (
    Appended,
    Claimed,
    Lane,
    NewDelivery,
    NewEvent,
    Settlement,
    StaleSnapshot,
    Turns,
    Waiting,
)
from hookline.queue.statements import statement
from hookline.queue.unheard import UnheardLeases

_AT_ONCE = 1_000  # rows that a statement puts right: short transactions, whatever the backlog
_ENGINE_BITS, _TOKEN_BITS = 31, 32  # of a lease: who took it, and when; together a bigint
_SKIPPED = code_of(Ending.SKIPPED, retried=False)
_ENDINGS: dict[type[Outcome], Ending] = {
    Delivered: Ending.DELIVERED,
    RetryAt: Ending.PENDING,
    Failed: Ending.FAILED,
    Skipped: Ending.SKIPPED,
}
_LOG = get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


def _unavailable_when_away(
    method: Callable[P, Coroutine[Any, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    @wraps(method)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await rerun_when_rolled_back(lambda: method(*args, **kwargs))
        except (*AWAY, *BUSY) as error:
            raise unavailable(error) from error
        except asyncpg.CheckViolationError as error:
            if error.constraint_name is not None:  # a message would be in the server's language
                raise
            _LOG.exception("queue.no_partition")
            raise Unavailable(
                "There is no partition for this moment: look whether this machine's clock is right."
            ) from error

    return guarded


class PostgresQueue:
    """The port's promises kept by Postgres: durability by its commit, exclusion by row locks.

    `lease_seconds` must outlive the longest attempt; `duplicate_window` bounds what counts as the
    same event sent again.
    """

    def __init__(
        self, pool: asyncpg.Pool, *, lease_seconds: float, duplicate_window: timedelta
    ) -> None:
        self._pool = pool
        self.lease_seconds = lease_seconds
        self._duplicate_window = duplicate_window
        self._append = statement("append")
        self._firsts = statement("firsts")
        self._claim = statement("claim")
        self._claim_ordered = statement("claim_ordered")
        self._refresh = statement("refresh")
        self._expire = statement("expire")
        self._settle = statement("settle")
        self._release = statement("release")
        self._renew = statement("renew")
        self._waiting = statement("waiting")
        self._take_turns = statement("take_turns")
        self._return_turns = statement("return_turns")
        self._backlog = statement("backlog")
        self._retry = statement("retry")
        self._skip = statement("skip")
        self._held_elsewhere = statement("held_elsewhere")
        self._begin_order = statement("begin_order")
        self._end_order = statement("end_order")
        self._engine = secrets.randbits(_ENGINE_BITS)
        self.born_lease = self._new_lease()
        self._unheard = UnheardLeases(pool, lease_seconds=lease_seconds)

    @_unavailable_when_away
    async def append(
        self, events: Sequence[NewEvent], deliveries: Sequence[NewDelivery], *, revision: int
    ) -> Appended | StaleSnapshot:
        """Store events with their deliveries; deliveries born leased carry `born_lease`."""
        leased = [delivery.id for delivery in deliveries if delivery.leased]
        async with self._unheard.connection(self.born_lease, deliveries=leased) as connection:
            row = await connection.fetchrow(
                self._append,
                revision,
                lowest_uuid(datetime.now(UTC) - self._duplicate_window),
                plain(e.id for e in events),
                plain(e.digest for e in events),
                texts([e.event.pbx for e in events]),
                texts([e.event.company for e in events]),
                texts([e.event.type for e in events]),
                texts([e.event.subject for e in events]),
                plain(e.event.time for e in events),
                [e.event.payload for e in events],
                plain(e.event.splice for e in events),
                texts([e.skipped for e in events]),
                self.lease_seconds,
                self.born_lease,
                plain(d.id for d in deliveries),
                plain(d.event_id for d in deliveries),
                texts([d.integration_id for d in deliveries]),
                texts([d.event_type for d in deliveries]),
                texts([d.ordering for d in deliveries]),
                flags(d.leased for d in deliveries),
            )
            if row["revision"] != revision:
                return StaleSnapshot(row["revision"])
            fresh = frozenset(row["fresh"])
            known = [e.digest for e in events if e.id not in fresh]
            firsts = await connection.fetch(self._firsts, known) if known else ()
            return Appended(
                fresh,
                {row["digest"]: row["event_id"] for row in firsts},
                frozenset(row["behind"]),
            )

    @_unavailable_when_away
    async def take_over(self, lanes: Sequence[Lane]) -> set[str]:
        """Put what waits in these lanes into their order, once nobody else holds anything."""
        plain = {lane.integration_id for lane in lanes if not lane.ordered}
        ordered = {lane.integration_id for lane in lanes if lane.ordered}
        rows = await self._pool.fetch(self._held_elsewhere, [*plain], [*ordered], self._engine)
        held = {row["integration_id"] for row in rows}
        for sql, named in ((self._begin_order, ordered - held), (self._end_order, plain - held)):
            while named and await self._pool.fetchval(sql, [*named], _AT_ONCE):
                continue
        return (plain | ordered) - held

    @_unavailable_when_away
    async def claim(self, lanes: Sequence[Lane], *, most_bytes: int) -> list[Claimed]:
        """Lease due deliveries under a token of their own."""
        lease = self._new_lease()
        named = [lane.integration_id for lane in lanes]
        claimed: list[Claimed] = []
        async with self._unheard.connection(lease, lanes=named) as connection:
            for sql, ordered in ((self._claim, False), (self._claim_ordered, True)):
                asked = [lane for lane in lanes if lane.ordered is ordered]
                if not asked or most_bytes <= 0:
                    continue
                if ordered:
                    await self._look_anew(connection, asked)
                rows = await connection.fetch(
                    sql,
                    [lane.integration_id for lane in asked],
                    [lane.room for lane in asked],
                    lease,
                    self.lease_seconds,
                    most_bytes,
                )
                claimed += [_claimed(row, lease) for row in rows]
                most_bytes -= sum(len(row["payload"]) for row in rows)
        return claimed

    def _new_lease(self) -> int:
        """Return a token that fits a bigint: this engine's number, and a random one."""
        return self._engine << _TOKEN_BITS | secrets.randbits(_TOKEN_BITS)

    async def _look_anew(self, connection: asyncpg.Connection, lanes: Sequence[Lane]) -> None:
        """Find what is first of the subjects that were changed."""
        named = [lane.integration_id for lane in lanes]
        while await connection.fetchval(self._refresh, named, _AT_ONCE) >= _AT_ONCE:
            continue

    @_unavailable_when_away
    async def take_turns(self, lanes: Sequence[Lane]) -> dict[str, Turns]:
        """Let deliveries of rate-limited lanes go, as far as their rates allow."""
        rows = await self._pool.fetch(self._take_turns, *_turns(lanes))
        return {row["integration_id"]: Turns(row["granted"], row["next_in"]) for row in rows}

    @_unavailable_when_away
    async def return_turns(self, unused: Sequence[Lane]) -> None:
        """Give back turns that found nothing to deliver."""
        await self._pool.execute(self._return_turns, *_turns(unused))

    @_unavailable_when_away
    async def backlog(self) -> dict[str, int]:
        """Return how many deliveries are pending; of very many, as a sample of the table says."""
        rows = await self._pool.fetch(self._backlog)
        return {row["integration_id"]: row["waiting"] for row in rows}

    @_unavailable_when_away
    async def settle(self, batch: Sequence[Settlement]) -> set[UUID]:
        """Write outcomes and attempts, fenced by each delivery's lease."""
        tried = [(s, s.sent) for s in batch if s.sent is not None]
        written = [_written(s.outcome) for s in batch]
        rows = await self._pool.fetch(
            self._settle,
            plain(s.id for s in batch),
            plain(s.lease for s in batch),
            texts([status for status, _, _ in written]),
            texts([reason for _, reason, _ in written]),
            plain(delay for _, _, delay in written),
            plain(s.number for s in batch),
            plain(s.id for s, _ in tried),
            plain(s.number for s, _ in tried),
            [sent.started_at for _, sent in tried],
            plain(sent.duration_ms for _, sent in tried),
            texts([_attempt_outcome(s.outcome) for s, _ in tried]),
            texts([sent.error for _, sent in tried]),
            [sent.status_code for _, sent in tried],
            [sent.response or None for _, sent in tried],
            texts([sent.response_defect for _, sent in tried]),
            texts([sent.tls_reason for _, sent in tried]),
            plain(_counted(s) for s in batch),
        )
        return {row["id"] for row in rows}

    @_unavailable_when_away
    async def release(self, held: Sequence[Claimed]) -> None:
        """Give leases back, each fenced by its token."""
        await self._pool.execute(self._release, [c.id for c in held], [c.lease for c in held])

    @_unavailable_when_away
    async def renew(self, held: Sequence[tuple[UUID, int]]) -> set[UUID]:
        """Extend leases, each fenced by its token."""
        rows = await self._pool.fetch(
            self._renew,
            [delivery_id for delivery_id, _ in held],
            [lease for _, lease in held],
            self.lease_seconds,
        )
        return {row["id"] for row in rows}

    @_unavailable_when_away
    async def waiting(self) -> list[Waiting]:
        """Return the integrations that have pending deliveries."""
        await self._unheard.give_back()
        while await self._pool.fetchval(self._expire, _AT_ONCE) == _AT_ONCE:
            continue
        rows = await self._pool.fetch(self._waiting)
        return [Waiting(row["integration_id"], row["due_in"], row["ordered"]) for row in rows]

    @_unavailable_when_away
    async def retry(self, delivery_id: UUID, *, ordered: bool) -> bool:
        """Make a delivery due now."""
        return await self._pool.fetchval(self._retry, delivery_id, ordered) is not None

    @_unavailable_when_away
    async def skip(self, integration_id: str, reason: SkipReason, *, limit: int) -> int:
        """End deliveries that nobody holds as skipped."""
        count: int = await self._pool.fetchval(self._skip, integration_id, reason, limit, _SKIPPED)
        return count

    @_unavailable_when_away
    async def announce(self, channel: str) -> None:
        """Tell every listening process, this one included, to look for due deliveries."""
        await self._pool.execute("select pg_notify($1, '')", channel)


def _turns(lanes: Sequence[Lane]) -> tuple[list[str], list[int], list[float | None]]:
    return (
        [lane.integration_id for lane in lanes],
        [lane.room for lane in lanes],
        [lane.rate_limit for lane in lanes],
    )


def _claimed(row: asyncpg.Record, lease: int) -> Claimed:
    event = Event(
        subject=row["subject"],
        pbx=row["pbx"],
        company=row["company"],
        time=row["time"],
        type=row["type"],
        payload=row["payload"],
        splice=row["splice"],
    )
    return Claimed(
        id=row["id"],
        lease=lease,
        event_id=row["event_id"],
        integration_id=row["integration_id"],
        attempts=row["attempts"],
        claims=row["claims"],
        once=row["once"],
        manual=row["manual"],
        revision=row["revision"],
        event=event,
    )


def _written(outcome: Outcome) -> tuple[DeliveryStatus, str | None, float]:
    match outcome:
        case Delivered():
            return DeliveryStatus.DELIVERED, None, 0.0
        case RetryAt(delay=delay):
            return DeliveryStatus.PENDING, None, delay
        case Failed(reason=reason):
            return DeliveryStatus.FAILED, reason, 0.0
        case Skipped(reason=skipped):
            return DeliveryStatus.SKIPPED, skipped, 0.0


def _counted(settlement: Settlement) -> int:
    """Return what is counted of a settlement; latency ends as its attempt does."""
    sent, ending = settlement.sent, _ENDINGS[type(settlement.outcome)]
    if sent is None:
        return code_of(ending, retried=False)
    latency = None
    if ending is Ending.DELIVERED:
        waited_ms = sent.started_at.timestamp() * 1000 - (settlement.id.int >> 80)
        latency = max(0, round(waited_ms)) + sent.duration_ms
    return code_of(
        ending,
        attempt_ms=sent.duration_ms,
        latency_ms=latency,
        retried=settlement.number > 1,
    )


def _attempt_outcome(outcome: Outcome) -> str:
    match outcome:
        case Delivered():
            return "delivered"
        case RetryAt():
            return "retry"
        case Failed() | Skipped():
            return "failed"
