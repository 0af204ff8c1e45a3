"""Concurrency limits of one target: a fixed `maxInFlight`, or one that adapts to the target.

Both limits shrink as a target fails and grow as it succeeds: additive increase, multiplicative
decrease, as TCP does it (RFC 5681). The adaptive one also heeds latency, as the gradient limits of
Netflix's concurrency-limits do.
"""

from dataclasses import dataclass, field
from math import sqrt
from typing import Protocol

_LEAST = 1.0  # something must go, or nobody would learn that the target is well again
_FIRST = 8  # attempts at once to a target that nothing is known of, whatever its latency
_MOST = 256  # attempts at once that an adaptive limit grows to
_SAMPLES = 32  # latencies a median is taken of, at the least: fewer would mistake noise for load
_TOLERATED = 1.5  # times the target's own latency: what a half-full queue before it adds
_NOISE = 5  # milliseconds that a latency may rise by, however short it is
_SURGE = 1.5  # growth by each window until there is a first sign of load
_MILD = 0.9  # what a failure between successes leaves of the limit
_PROBE_AFTER = 50  # windows after which the target's own latency is measured anew


class ConcurrencyLimit(Protocol):
    """How many attempts may run at once, learnt from how they end.

    `in_flight` counts the attempt that ended as well.
    """

    @property
    def allowed(self) -> int:
        """How many may run at once: one at the least."""

    @property
    def reduced(self) -> bool:
        """Whether the target failed, and has not recovered since."""

    def restart(self) -> None:
        """Begin anew from a single attempt: the target was paused."""

    def failed(self, in_flight: int) -> None:
        """Learn that an attempt is to be retried."""

    def succeeded(self, latency_ms: int, in_flight: int) -> bool:
        """Learn that an attempt delivered; tell whether more may run now."""


def limit_of(most: int | None, before: ConcurrencyLimit | None = None) -> ConcurrencyLimit:
    """Return the limit for a `maxInFlight`; None adapts. What the one `before` learnt is kept."""
    if most is None:
        return before if isinstance(before, AdaptiveLimit) else AdaptiveLimit()
    if isinstance(before, FixedLimit):
        before.most = most
        return before
    return FixedLimit(most)


@dataclass(slots=True)
class FixedLimit:
    """A number that is all allowed at once, until the target fails.

    Each burst of failures halves it: attempts that were under way when it was halved say nothing
    new. Successes widen it by one for each full turn, until it is whole.
    """

    most: int
    _reduced_to: float | None = None  # None: nothing failed, or it has recovered
    _under_way: int = 0  # attempts that began before the last halving

    @property
    def allowed(self) -> int:
        """How many may run at once."""
        return self.most if self._reduced_to is None else min(self.most, int(self._reduced_to))

    @property
    def reduced(self) -> bool:
        """Whether the target failed, and has not recovered since."""
        return self._reduced_to is not None

    def restart(self) -> None:
        """Begin anew from a single attempt."""
        self._reduced_to, self._under_way = _LEAST, 0

    def failed(self, in_flight: int) -> None:
        """Halve it, once for a burst of failures."""
        if self._under_way:
            self._under_way -= 1
            return
        self._reduced_to = max(_LEAST, self.allowed / 2)
        self._under_way = max(0, in_flight - 1)

    def succeeded(self, latency_ms: int, in_flight: int) -> bool:  # noqa: ARG002 - see ConcurrencyLimit
        """Recover by one, once as many as are allowed have succeeded."""
        self._under_way = max(0, self._under_way - 1)
        if self._reduced_to is None:
            return False
        before = self.allowed
        self._reduced_to += 1 / int(self._reduced_to)
        if self._reduced_to >= self.most:
            self._reduced_to = None
        return self.allowed > before


@dataclass(slots=True)
class AdaptiveLimit:
    """A limit that follows the target: from 8 up to 256 while answers come well and in time.

    Latencies are compared by the median of a window, which is as many successes as are allowed at
    once, 32 at the least. A window that used all that was allowed widens the limit: by half at
    first, by its square root once there was a sign of load. Two windows in a row whose median is
    beyond 1.5 times the target's own latency shrink it in proportion, to 8 at the least: the target
    has a queue. Its own latency is the least median known, measured anew after 50 windows by
    half the limit, and followed where no more than 8 run: then the load can't be ours.

    A failure between successes takes a tenth, a second one in a row a half, once for a burst and
    down to a single attempt; from there each full turn of successes adds one.
    """

    _limit: float = float(_FIRST)
    _own_latency: float | None = None  # milliseconds
    _window: list[int] = field(default_factory=list)  # latencies in milliseconds
    _used: bool = False  # whether as many ran as were allowed, in this window
    _late: bool = False  # whether the last window was beyond what is tolerated
    _failing: bool = False  # whether the last attempt failed
    _loaded: bool = False  # whether there was ever a sign of load
    _under_way: int = 0  # attempts that began before the limit was last reduced
    _windows_to_probe: int = _PROBE_AFTER
    _before_probe: float | None = None  # the limit to go back to; None: there is no probe

    @property
    def allowed(self) -> int:
        """How many may run at once."""
        return int(self._limit)

    @property
    def reduced(self) -> bool:
        """Whether fewer may run than to a target that nothing is known of: it failed."""
        return self._limit < _FIRST

    def restart(self) -> None:
        """Begin anew from a single attempt."""
        self._reduce(_LEAST, 0)

    def failed(self, in_flight: int) -> None:
        """Take a tenth, or a half where the one before failed as well."""
        if self._under_way:
            self._under_way -= 1
            return
        again, self._failing = self._failing, True
        if again or self.reduced:
            self._reduce(max(_LEAST, self._limit / 2), in_flight)
        else:
            self._loaded = True
            self._limit = max(_LEAST, self._limit * _MILD)

    def succeeded(self, latency_ms: int, in_flight: int) -> bool:
        """Note a latency; at the end of a window, compare and adapt."""
        if self._under_way:
            self._under_way -= 1
            return False
        self._failing = False
        before = self.allowed
        if self.reduced:
            self._limit = min(float(_FIRST), self._limit + 1 / before)
            return self.allowed > before
        self._used |= in_flight >= before
        self._window.append(latency_ms)
        if len(self._window) >= max(_SAMPLES, before):
            self._end_window(in_flight)
        return self.allowed > before

    def _end_window(self, in_flight: int) -> None:
        median = sorted(self._window)[len(self._window) // 2]
        used = self._used
        self._window.clear()
        self._used = False
        if self._before_probe is not None:
            self._own_latency = median
            self._limit, self._before_probe = self._before_probe, None
            return
        if self._own_latency is None or median < self._own_latency:
            self._own_latency = median
        tolerated = max(self._own_latency * _TOLERATED, self._own_latency + _NOISE)
        late_before, self._late = self._late, median > tolerated
        if self._late:
            if self._limit <= _FIRST:
                self._own_latency = (self._own_latency + median) / 2
            elif late_before:
                share = max(0.5, tolerated / median)
                self._reduce(max(float(_FIRST), self._limit * share), in_flight)
        elif used:
            self._probe_or_grow(in_flight)

    def _probe_or_grow(self, in_flight: int) -> None:
        self._windows_to_probe -= 1
        if self._windows_to_probe <= 0 and self._limit > _FIRST:
            self._windows_to_probe = _PROBE_AFTER
            self._before_probe = self._limit
            self._limit = max(float(_FIRST), self._limit / 2)
            self._under_way = max(0, in_flight - 1)
            return
        growth = sqrt(self._limit) if self._loaded else self._limit * (_SURGE - 1)
        self._limit = min(float(_MOST), self._limit + growth)

    def _reduce(self, limit: float, in_flight: int) -> None:
        self._limit = limit
        self._under_way = max(0, in_flight - 1)
        self._loaded, self._late, self._before_probe = True, False, None
        self._used = False
        self._window.clear()
