"""What one engine may have in flight of a number that all engines of a database share."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from zlib import crc32

_JOINING = 1.0  # seconds that a new engine leaves the others for making room
_CROWD = 1 << 30  # engines; among so many each has one


@dataclass(slots=True)
class Shares:
    """Divides each integration's `maxInFlight` among the engines, at least one for each of them.

    A share shrinks at once when another engine comes, and grows `settling` seconds after one has
    gone: what that one had under way has ended by then, and a session that was cut for a moment is
    back. A new engine among others begins with one in flight for each integration, for a second.
    """

    settling: float
    clock: Callable[[], float] = time.monotonic
    rank: int = 0  # how many engines come before this one
    size: int = 1  # engines to divide by
    _sizes: deque[tuple[float, int]] = field(default_factory=deque)  # until when, falling sizes

    def of(self, integration_id: str, most: int) -> int:
        """Return how many of `most` this engine may have in flight: a look-up, without I/O.

        All engines together have `most`, or one each if they are more than that. Who gets what
        does not divide evenly depends on the integration, so that no engine is always ahead.
        """
        if self.size == 1:
            return most
        each, rest = divmod(most, self.size)
        if rest and (self.rank + crc32(integration_id.encode())) % self.size < rest:
            each += 1
        return max(1, each)

    def learn(self, rank: int, size: int) -> None:
        """Take a count of the engines: `size` in all, of which `rank` come before this one."""
        now = self.clock()
        if not self._sizes and size > 1:
            self._sizes.append((now + _JOINING, _CROWD))
        while self._sizes and self._sizes[-1][1] <= size:
            self._sizes.pop()
        self._sizes.append((now + self.settling, size))
        while self._sizes[0][0] <= now and len(self._sizes) > 1:
            self._sizes.popleft()
        self.rank, self.size = rank, self._sizes[0][1]
