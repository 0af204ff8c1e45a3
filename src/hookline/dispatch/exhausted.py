"""Counts the deliveries that failed for good, until the next round adds them to what all counted.

They are counted in memory as they end, and not by a query on `deliveries` when a notice is due: a
delivery's id is as old as its event, so what ended in the last minute may lie anywhere in the days
kept, a pause away, and all rows of a busy integration would be read to find a few. What this costs
is bounded: a process that dies takes one round's count with it, and one that dies before an outcome
is recorded has counted a delivery that is attempted again. The deliveries themselves lose nothing,
and are listed by their status.
"""

from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from hookline.domain.deliveries import ErrorKind
from hookline.domain.notices import Exhausted
from hookline.errors import Unavailable
from hookline.logs import get_logger

_NONE = Exhausted()
_LOG = get_logger(__name__)


class ExhaustedTally:
    """One process's count, by integration; `add` adds it to what all processes counted."""

    def __init__(self, add: Callable[[Mapping[str, Exhausted]], Awaitable[None]]) -> None:
        self._add = add
        self._counted: dict[str, Exhausted] = {}

    def saw(self, integration_id: str, delivery_id: UUID, error: ErrorKind | None) -> None:
        """Count a delivery; returns at once."""
        one = Exhausted(1, (str(delivery_id),), error)
        self._counted[integration_id] = self._counted.get(integration_id, _NONE).followed_by(one)

    async def flush(self) -> None:
        """Hand over what was counted. Raises Unavailable, and then it is kept."""
        if not self._counted:
            return
        taken, self._counted = self._counted, {}
        try:
            await self._add(taken)
        except BaseException:  # a cancelled round's as well: the end hands it over
            for integration_id, later in self._counted.items():
                taken[integration_id] = taken.get(integration_id, _NONE).followed_by(later)
            self._counted = taken
            raise

    async def aclose(self) -> None:
        """Hand over what the last attempts added."""
        try:
            await self.flush()
        except Unavailable:
            counted = sum(each.count for each in self._counted.values())
            _LOG.warning("exhausted.untold", deliveries=counted)
