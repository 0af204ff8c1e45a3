"""Reads the log of settlements in the order in which its entries can be seen, and misses none.

Entries are numbered when they are written and seen when that is committed, so a lower number may
be seen after a higher one. A number that is missing is looked for until its writer must have ended.
"""

import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from hookline.db.errors import unavailable_when_away
from hookline.db.statements import statement
from hookline.domain.statistics import Ending, ending_of

RESUMED_WITHIN: Final = 300.0  # seconds; the log is kept for a little longer
_MISSING_FOR: Final = 30.0  # seconds: statements end within ten
_MOST_MISSING: Final = 1_000  # numbers that are looked for: of writers that failed, mostly
_LOOKED_BACK: Final = 200  # entries before the newest one whose gaps count as missing at the start
_POSITION: Final = re.compile(r"([0-9]{1,12})-([0-9]{1,18})-([0-9]{1,18})-([0-9]{1,6})")


_NEWEST = text(statement("history/newest_settlements"))
_READ = text(statement("history/settlements_after"))


@dataclass(frozen=True, slots=True)
class Ended:
    """A delivery that has ended, and where its entry has it."""

    entry: int
    index: int
    integration_id: str
    delivery_id: UUID


@dataclass(frozen=True, slots=True)
class Position:
    """How far a reader has come: everything up to the entry `floor`, and of `entry` up to `index`.

    As text it is what a stream's `id:` says; `moment` is when that was sent, in seconds.
    """

    moment: int
    floor: int
    entry: int
    index: int

    def __str__(self) -> str:
        return f"{self.moment}-{self.floor}-{self.entry}-{self.index}"

    @classmethod
    def parse(cls, written: str) -> "Position | None":
        """Read a position; None where it is none."""
        found = _POSITION.fullmatch(written)
        return None if found is None else cls(*map(int, found.groups()))

    def is_before(self, ended: Ended) -> bool:
        """Whether a delivery may not have been sent yet to whoever was sent this."""
        if ended.entry == self.entry:
            return ended.index > self.index
        return ended.entry > self.floor


class SettledLog:
    """One reader's way through the log, in its own pace. Raises Unavailable.

    `after` is the entry to go on from; without it, `start` goes to the log's end.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        after: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._after = after
        self._missing: dict[int, float] = {}  # by number: until when it is looked for

    @property
    def after(self) -> int:
        """The highest number that was read."""
        return self._after or 0

    @property
    def missing(self) -> Collection[int]:
        """The lower numbers that may still be seen."""
        return self._missing.keys()

    async def start(self) -> None:
        """Go to the end: what is seen from now on is read."""
        if self._after is not None:
            return
        with unavailable_when_away():
            async with self._engine.connect() as connection:
                parameters = {"back": _LOOKED_BACK, "ends": _MISSING_FOR}
                rows = (await connection.execute(_NEWEST, parameters)).all()
        if not rows:
            self._after = 0
            return
        newest = rows[0].newest
        ended = (row.id for row in rows if row.has_ended)
        past = max(ended, default=max(0, newest - _LOOKED_BACK))
        self._miss(range(past + 1, newest), {row.id for row in rows})
        self._after = newest

    async def read(self, most: int) -> list[Ended]:
        """Return the deliveries that ended, of at most so many more entries."""
        parameters = {"after": self.after, "missing": [*self._missing], "most": most}
        with unavailable_when_away():
            async with self._engine.connect() as connection:
                rows = (await connection.execute(_READ, parameters)).all()
        self._found([row.id for row in rows])
        return [
            Ended(row.id, index, integration_id, delivery_id)
            for row in rows
            for index, (integration_id, delivery_id, code) in enumerate(
                zip(row.integrations, row.deliveries, row.codes, strict=True)
            )
            if ending_of(code) is not Ending.PENDING
        ]

    def position(self, ended: Ended | None = None) -> Position:
        """Return how far whoever was sent this delivery has come, or everything that was read."""
        reached = self.after if ended is None else ended.entry
        missing = [number for number in self._missing if number < reached]
        floor = min(missing) - 1 if missing else reached - (ended is not None)
        if ended is None:
            return Position(int(time.time()), floor, 0, 0)
        return Position(int(time.time()), floor, ended.entry, ended.index)

    def _found(self, ids: Sequence[int]) -> None:
        now = self._clock()
        for number in ids:
            self._missing.pop(number, None)
        for number in [each for each, until in self._missing.items() if until < now]:
            del self._missing[number]
        if ids and ids[-1] > self.after:
            self._miss(range(self.after + 1, ids[-1]), set(ids))
            self._after = ids[-1]

    def _miss(self, numbers: range, seen: Collection[int]) -> None:
        """Note which numbers to look for; of very many, the latest."""
        until = self._clock() + _MISSING_FOR
        for number in numbers[-_MOST_MISSING:]:
            if number not in seen:
                self._missing[number] = until
        for number in list(self._missing)[:-_MOST_MISSING]:
            del self._missing[number]
