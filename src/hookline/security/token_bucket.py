"""A token bucket: it fills steadily, and each event takes a token from it."""


class TokenBucket:
    """Holds up to `burst` and gains `rate` a second; begins full. Times are in seconds."""

    __slots__ = ("_burst", "_level", "_looked_at", "_rate")

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._looked_at = now

    def take(self, now: float) -> float:
        """Take one and return 0.0; or, where there is none, the seconds until there is."""
        wait = self.wait(now)
        if wait == 0.0:
            self._level -= 1.0
        return wait

    def charge(self, amount: float) -> None:
        """Take this much, whether it is there or not: a debt that later ones wait for."""
        self._level -= amount

    def wait(self, now: float) -> float:
        """Return the seconds until one can be taken, 0.0 where it can at once."""
        level = self._level + (now - self._looked_at) * self._rate
        self._level = min(self._burst, level)
        self._looked_at = now
        return 0.0 if self._level >= 1.0 else (1.0 - self._level) / self._rate
