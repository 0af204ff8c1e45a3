"""Which engine a lane belongs to, of all that share a database: one at a time.

So what one engine does in order is in order, and `maxInFlight` is kept by the one that has the
lane.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

_JOINING = 3.0  # seconds that a new engine leaves the others for noticing it


@dataclass(slots=True)
class Shares:
    """Divides the lanes among the engines: each lane goes to the engine that it draws highest.

    One that comes takes its part of the others' lanes, one that goes leaves its own to the others,
    and no other lane moves. A new engine among others has none for the first seconds, so that those
    who have them let go before. What one holds of a lane when it moves ends before the next engine
    begins (`Queue.take_over`).
    """

    clock: Callable[[], float] = time.monotonic
    _places: tuple[int, ...] = ()
    _mine: int = 0
    _term: int = 1
    _from: float = 0.0  # when it has lanes at all

    def learn(self, mine: int, places: Sequence[int]) -> bool:
        """Take a count of the engines: the places that are taken, of which `mine` is this one's.

        Tells whether any lane may have moved.
        """
        if (mine, tuple(places)) == (self._mine, self._places):
            return False
        if not self._places and len(places) > 1:
            self._from = self.clock() + _JOINING
        self._mine, self._places = mine, tuple(places)
        self._term += 1
        return True

    def joining_for(self) -> float:
        """Return how many seconds from now it still has none of the lanes that others may hold."""
        return max(0.0, self._from - self.clock()) if self._from else 0.0

    def term(self, integration_id: str) -> int:
        """Return 0 where the lane is another engine's.

        Another number than before says that others may have had it meanwhile.
        """
        if len(self._places) <= 1:
            return self._term
        if self._from:
            if self.clock() < self._from:
                return 0
            self._from = 0.0
            self._term += 1
        return self._term if self._draws_highest(integration_id) else 0

    def _draws_highest(self, integration_id: str) -> bool:
        return self._mine == max(self._places, key=lambda place: _draw(place, integration_id))


def _draw(place: int, integration_id: str) -> bytes:
    return blake2b(f"{place} {integration_id}".encode(), digest_size=8).digest()
