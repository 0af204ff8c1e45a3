"""Ends deliveries that are no longer worth sending: too old, or replaced by newer ones.

Only what nobody holds is ended here, many in one short statement. What is claimed meanwhile, or was
claimed before, carries what its holder needs to decide the same.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

import asyncpg
from msgspec.structs import replace

from hookline.db.errors import unavailable_when_away
from hookline.db.statements import statement
from hookline.domain.deliveries import SkipReason
from hookline.domain.statistics import Ending, code_of
from hookline.logs import get_logger
from hookline.queue.port import Claimed

_AT_ONCE = 5_000  # deliveries a statement: some 0.1 s, however many wait
_KEYS_AT_ONCE = 500
_BEFORE_ALL = ("", UUID(int=0))  # no integration has an empty id
_LOG = get_logger(__name__)
_SKIPPED = code_of(Ending.SKIPPED, retried=False)

Key = tuple[str, UUID]
"""An integration, and the `replacement_key` of deliveries of which only the newest is sent."""


class OutdatedDeliveries:
    """Ends what is stale or superseded; `skipped` is told the reason and how many were ended."""

    def __init__(self, pool: asyncpg.Pool, *, skipped: Callable[[SkipReason, int], None]) -> None:
        self._pool = pool
        self._skipped = skipped
        self._skip_stale = statement("queue/skip_stale")
        self._skip_superseded = statement("queue/skip_superseded")
        self._replacement_keys = statement("queue/replacement_keys")

    async def end_stale(self) -> None:
        """End all that is too old to be sent. Raises Unavailable."""
        ended, last = 0, _AT_ONCE
        while last == _AT_ONCE:
            with unavailable_when_away():
                last = await self._pool.fetchval(self._skip_stale, _AT_ONCE, _SKIPPED)
            self._skipped(SkipReason.STALE, last)
            ended += last
        if ended:
            _LOG.info("deliveries.stale", deliveries=ended)

    async def end_superseded(self) -> None:
        """End all that newer deliveries replace, claimed or not. Raises Unavailable."""
        behind = _BEFORE_ALL
        while True:
            with unavailable_when_away():
                rows = await self._pool.fetch(self._replacement_keys, *behind, _KEYS_AT_ONCE)
            if not rows:
                return
            keys = [(row["integration_id"], row["replacement_key"]) for row in rows]
            await self._end_older(keys)
            behind = keys[-1]

    async def end_replaced(self, claimed: list[Claimed]) -> list[Claimed]:
        """End what waits and is replaced by these; mark those of these that are replaced."""
        keys = {(job.integration_id, key) for job in claimed if (key := job.replacement_key)}
        if not keys:
            return claimed
        newest = await self._end_older([*keys])
        return [
            replace(job, superseded=True)
            if job.replacement_key is not None
            and newest.get((job.integration_id, job.replacement_key), job.id) != job.id
            else job
            for job in claimed
        ]

    async def _end_older(self, keys: Sequence[Key]) -> dict[Key, UUID]:
        """End what newer ones of these keys replace; return the newest of each key."""
        newest: dict[Key, UUID] = {}
        ended = _AT_ONCE
        while ended == _AT_ONCE:
            with unavailable_when_away():
                rows = await self._pool.fetch(
                    self._skip_superseded,
                    [integration_id for integration_id, _ in keys],
                    [key for _, key in keys],
                    _AT_ONCE,
                    _SKIPPED,
                )
            newest = {(row["integration_id"], row["replacement_key"]): row["id"] for row in rows}
            ended = rows[0]["ended"] if rows else 0
            self._skipped(SkipReason.SUPERSEDED, ended)
        return newest
