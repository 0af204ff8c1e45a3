"""The queue on Postgres: each method is one statement, arrays in through unnest.

Except where it needs rows of certain days: those are read by a statement for each day, which names
its partition.
"""

import secrets
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import asyncpg

from hookline.background import Slices, run_at_once
from hookline.db.errors import rerun_when_rolled_back, unavailable_when_away
from hookline.db.statements import of_days, statement
from hookline.domain.deliveries import SkipReason
from hookline.domain.ids import lowest_uuid
from hookline.domain.statistics import Ending, code_of
from hookline.errors import Unavailable
from hookline.logs import get_logger
from hookline.queue.outdated import OutdatedDeliveries
from hookline.queue.port import (
    Appended,
    Claimed,
    Lane,
    NewDelivery,
    NewEvent,
    QueueObserver,
    RateTokens,
    Settlement,
    StaleSnapshot,
    Waiting,
)
from hookline.queue.recovery import LostClaims
from hookline.queue.rows import (
    attempt_outcome,
    claimed_row,
    counted,
    delivery_columns,
    ending_of_lost,
    event_columns,
    optional,
    optional_texts,
    plain,
    rate_columns,
    texts,
    written,
)

_AT_ONCE = 1_000  # rows that a statement puts right: short transactions, whatever the backlog
_ENGINE_BITS, _TOKEN_BITS = 31, 32  # of a lease: who took it, and when; together a bigint
_MS_PER_DAY = 86_400_000
_SKIPPED = code_of(Ending.SKIPPED, retried=False)
_LOG = get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


def _queue_method(
    method: Callable[P, Coroutine[Any, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    @wraps(method)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with unavailable_when_away():
                return await rerun_when_rolled_back(lambda: method(*args, **kwargs))
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
    same event sent again. `observer` is told of deliveries that have ended.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        lease_seconds: float,
        duplicate_window: timedelta,
        observer: QueueObserver | None = None,
    ) -> None:
        self._pool = pool
        self._observer = observer
        self.lease_seconds = lease_seconds
        self._duplicate_window = duplicate_window
        self._append = statement("queue/append")
        self._originals = statement("queue/originals")
        self._claim = statement("queue/claim")
        self._claim_ordered = statement("queue/claim_ordered")
        self._refresh = statement("queue/refresh")
        self._expire = statement("queue/expire")
        self._settle = statement("queue/settle")
        self._release = statement("queue/release")
        self._release_lease = statement("queue/release_lease")
        self._renew = statement("queue/renew")
        self._waiting = statement("queue/waiting")
        self._acquire_tokens = statement("queue/acquire_tokens")
        self._refund_tokens = statement("queue/refund_tokens")
        self._backlog = statement("queue/backlog")
        self._retry = statement("queue/retry")
        self._event_of = statement("queue/event_of")
        self._events = statement("queue/events")
        self._unordered = statement("queue/unordered")
        self._skip = statement("queue/skip")
        self._held_elsewhere = statement("queue/held_elsewhere")
        self._begin_order = statement("queue/begin_order")
        self._end_order = statement("queue/end_order")
        self._slices = Slices()
        self._engine = secrets.randbits(_ENGINE_BITS)
        self.born_lease = self.new_lease()
        self._lost_claims = LostClaims(pool, lease_seconds=lease_seconds)
        self.outdated = OutdatedDeliveries(pool, skipped=self._skipped)

    def new_lease(self) -> int:
        """Return a token that fits a bigint: this engine's number, and a random one."""
        return self._engine << _TOKEN_BITS | secrets.randbits(_TOKEN_BITS)

    @_queue_method
    async def append(
        self, events: Sequence[NewEvent], deliveries: Sequence[NewDelivery], *, revision: int
    ) -> Appended | StaleSnapshot:
        """Store events with their deliveries, born under `born_lease` or their holder's."""
        leased: dict[int, list[UUID]] = {}
        for delivery in deliveries:
            if delivery.leased:
                leased.setdefault(delivery.holder or self.born_lease, []).append(delivery.id)
        sizes = {e.id: len(e.event.payload) for e in events}
        steps = delivery_columns(deliveries, sizes, self.born_lease)
        large = len(deliveries) > _AT_ONCE
        columns = await self._slices.run(steps) if large else run_at_once(steps)
        async with self._lost_claims.connection(leased) as connection:
            row = await connection.fetchrow(
                self._append,
                revision,
                lowest_uuid(datetime.now(UTC) - self._duplicate_window),
                *event_columns(events),
                self.lease_seconds,
                *columns,
                optional_texts([e.event.trace_context for e in events]),
            )
            if row["revision"] != revision:
                return StaleSnapshot(row["revision"])
            fresh = frozenset(row["fresh"])
            known = [e.digest for e in events if e.id not in fresh]
            originals = await connection.fetch(self._originals, known) if known else ()
            return Appended(
                fresh,
                {row["digest"]: row["event_id"] for row in originals},
                frozenset(row["behind"]),
            )

    @_queue_method
    async def take_over(self, lanes: Sequence[Lane]) -> set[str]:
        """Put what waits in these lanes into their order, once nobody else holds anything."""
        plain = {lane.integration_id for lane in lanes if not lane.ordered}
        ordered = {lane.integration_id for lane in lanes if lane.ordered}
        rows = await self._pool.fetch(self._held_elsewhere, [*plain], [*ordered], self._engine)
        held = {row["integration_id"] for row in rows}
        if ordered - held:
            await self._put_into_order([*(ordered - held)])
        while plain - held and await self._pool.fetchval(
            self._end_order, [*(plain - held)], _AT_ONCE
        ):
            continue
        return (plain | ordered) - held

    async def _put_into_order(self, lanes: list[str]) -> None:
        while rows := await self._pool.fetch(self._unordered, lanes, _AT_ONCE):
            events = await self._find_events(self._pool, {row["event_id"] for row in rows})
            subjects = [
                events[row["event_id"]]["subject"] if row["event_id"] in events else str(row["id"])
                for row in rows
            ]
            ids = plain(row["id"] for row in rows)
            if not await self._pool.fetchval(self._begin_order, ids, subjects):
                return  # others hold them

    @_queue_method
    async def claim(self, lanes: Sequence[Lane], *, most_bytes: int) -> list[Claimed]:
        """Lease due deliveries under a token of their own."""
        lease = self.new_lease()
        named = [lane.integration_id for lane in lanes]
        claimed: list[Claimed] = []
        lost: list[Settlement] = []
        async with self._lost_claims.connection({lease: ()}, lanes=named) as connection:
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
                events = await self._find_events(connection, {row["event_id"] for row in rows})
                for row in rows:
                    if (event := events.get(row["event_id"])) is None:
                        lost.append(ending_of_lost(row, lease))
                        continue
                    claimed.append(claimed_row(row, event, lease))
                    most_bytes -= len(event["payload"])
        if lost:
            _LOG.error("queue.event_missing", deliveries=[str(each.id) for each in lost])
            await self.settle(lost)
        return await self.outdated.end_replaced(claimed)

    async def _find_events(
        self, connection: asyncpg.Connection | asyncpg.Pool, event_ids: Iterable[UUID]
    ) -> dict[UUID, asyncpg.Record]:
        """Read events by their ids, one day after another."""
        by_day: dict[int, list[UUID]] = {}
        for event_id in event_ids:
            by_day.setdefault((event_id.int >> 80) // _MS_PER_DAY, []).append(event_id)
        found: dict[UUID, asyncpg.Record] = {}
        for of_day in by_day.values():
            sql = of_days(self._events, events=of_day[0])
            rows = await connection.fetch(sql, plain(of_day))
            found |= {row["id"]: row for row in rows}
        return found

    async def _look_anew(self, connection: asyncpg.Connection, lanes: Sequence[Lane]) -> None:
        """Find what is first of the subjects that were changed."""
        named = [lane.integration_id for lane in lanes]
        while await connection.fetchval(self._refresh, named, _AT_ONCE) >= _AT_ONCE:
            continue

    @_queue_method
    async def acquire_tokens(self, lanes: Sequence[Lane]) -> dict[str, RateTokens]:
        """Let deliveries of rate-limited lanes go, as far as their rates allow."""
        rows = await self._pool.fetch(self._acquire_tokens, *rate_columns(lanes))
        return {row["integration_id"]: RateTokens(row["granted"], row["next_in"]) for row in rows}

    @_queue_method
    async def refund_tokens(self, unused: Sequence[Lane]) -> None:
        """Refund tokens that found nothing to deliver."""
        await self._pool.execute(self._refund_tokens, *rate_columns(unused))

    @_queue_method
    async def backlog(self) -> dict[str, int]:
        """Return how many deliveries are pending; of very many, as a sample of the table says."""
        rows = await self._pool.fetch(self._backlog)
        return {row["integration_id"]: row["waiting"] for row in rows}

    @_queue_method
    async def settle(self, batch: Sequence[Settlement]) -> set[UUID]:
        """Write outcomes and attempts, fenced by each delivery's lease."""
        tried = [(s, s.sent) for s in batch if s.sent is not None]
        ends = [written(s.outcome) for s in batch]
        rows = await self._pool.fetch(
            self._settle,
            plain(s.id for s in batch),
            plain(s.lease for s in batch),
            texts([status for status, _, _ in ends]),
            texts([reason for _, reason, _ in ends]),
            plain(delay for _, _, delay in ends),
            plain(s.number for s in batch),
            plain(s.id for s, _ in tried),
            plain(s.number for s, _ in tried),
            [sent.started_at for _, sent in tried],
            plain(sent.duration_ms for _, sent in tried),
            texts([attempt_outcome(s.outcome) for s, _ in tried]),
            texts([sent.error for _, sent in tried]),
            [sent.status_code for _, sent in tried],
            [sent.response or None for _, sent in tried],
            texts([sent.response_defect for _, sent in tried]),
            texts([sent.tls_reason for _, sent in tried]),
            plain(counted(s) for s in batch),
            texts([s.sent.error if s.sent else None for s in batch]),
            optional([sent.body_bytes for _, sent in tried]),
        )
        ours = {row["id"] for row in rows}
        if self._observer is not None:
            self._observer.settled(batch, ours)
        return ours

    @_queue_method
    async def release(self, held: Sequence[Claimed]) -> None:
        """Release leases, each fenced by its token."""
        await self._pool.execute(self._release, [c.id for c in held], [c.lease for c in held])

    @_queue_method
    async def release_lease(self, lease: int, *, but: Collection[UUID]) -> set[str]:
        """Release what bears a token, but some deliveries."""
        rows = await self._pool.fetch(self._release_lease, lease, [*but])
        return {row["integration_id"] for row in rows}

    @_queue_method
    async def renew(self, held: Sequence[tuple[UUID, int]]) -> set[UUID]:
        """Extend leases, each fenced by its token."""
        rows = await self._pool.fetch(
            self._renew,
            [delivery_id for delivery_id, _ in held],
            [lease for _, lease in held],
            self.lease_seconds,
        )
        return {row["id"] for row in rows}

    @_queue_method
    async def waiting(self) -> list[Waiting]:
        """Return the integrations that have pending deliveries."""
        await self._lost_claims.release()
        while await self._pool.fetchval(self._expire, _AT_ONCE) == _AT_ONCE:
            continue
        rows = await self._pool.fetch(self._waiting)
        return [Waiting(row["integration_id"], row["due_in"], row["ordered"]) for row in rows]

    @_queue_method
    async def retry(self, delivery_id: UUID, *, ordered: bool) -> bool:
        """Make a delivery due now."""
        sql = of_days(self._event_of, deliveries=delivery_id)
        try:
            event_id = await self._pool.fetchval(sql, delivery_id)
            if event_id is None:
                return False
            sql = of_days(
                self._retry, deliveries=delivery_id, attempts=delivery_id, events=event_id
            )
            return await self._pool.fetchval(sql, delivery_id, ordered, event_id) is not None
        except asyncpg.UndefinedTableError:  # a day that was dropped, or never was
            return False

    @_queue_method
    async def skip(self, integration_id: str, reason: SkipReason, *, limit: int) -> int:
        """End deliveries that nobody holds as skipped."""
        count: int = await self._pool.fetchval(self._skip, integration_id, reason, limit, _SKIPPED)
        self._skipped(reason, count)
        return count

    def _skipped(self, reason: SkipReason, deliveries: int) -> None:
        if self._observer is not None:
            self._observer.skipped(reason, deliveries)

    @_queue_method
    async def notify(self, channel: str, lanes: str) -> None:
        """Tell every listening process, this one included, to look for due deliveries."""
        await self._pool.execute("select pg_notify($1, $2)", channel, lanes)
