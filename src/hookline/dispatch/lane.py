"""One integration's lane: what it allows, what it holds, and when it may have more."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from hookline.dispatch.concurrency import ConcurrencyLimit, limit_of
from hookline.dispatch.tenant_shares import Share
from hookline.queue.port import Claimed

_AT_HAND = 7  # for each one in flight: hides a claim behind attempts
_SILENT = 0.5  # seconds without any answer after which a target may be one that hangs


class LaneRules(msgspec.Struct, frozen=True, gc=False):
    """What an integration allows: deliveries in flight at once, and whether order is kept.

    A paused lane holds nothing but a probe. A rate limit, in deliveries a second, is kept by
    whoever claims, so such a lane holds no more than it may start at once; nor does one whose newer
    deliveries replace older ones, which only the database knows all of. A lane that is
    `elsewhere` is another engine's, and takes nothing; `term` changes whenever others may have had
    it, and it is to be taken over again.
    """

    max_in_flight: int | None  # None: adapts
    ordered: bool
    paused: bool = False
    rate_limit: float | None = None
    keeps_latest: bool = False
    elsewhere: bool = False
    term: int = 0
    place: int = 0  # of the engine that has it, among those that share the database

    @property
    def direct(self) -> bool:
        """Whether new deliveries may be born leased: memory knows all that holds them back."""
        held_back = self.ordered or self.paused or self.keeps_latest
        return not held_back and self.rate_limit is None

    def capacity(self, allowed: int) -> int:
        """How many leased deliveries it may have ahead at most, of which `allowed` in flight."""
        if self.rate_limit is not None or self.keeps_latest:
            return allowed
        return allowed * (1 + _AT_HAND)


@dataclass(slots=True)
class LaneState:
    """What one integration has in this process's hands, and what it is known to have elsewhere."""

    rules: LaneRules
    share: Share  # of the slow lanes' places: its tenant's
    byte_share: Share  # of the bytes of their payloads
    limit: ConcurrencyLimit = field(init=False)
    held: int = 0  # reserved, at hand, in flight, or waiting for its outcome to be written
    bytes_held: int = 0
    reserved: int = 0  # places of deliveries that are being leased
    releasing: int = 0  # leases of it that are being released
    released_at: float = -1.0  # when the last of them began to be, or was
    not_handed_until: float = 0.0  # another engine's lane: when that may have room for it again
    in_flight: int = 0
    at_hand: deque[Claimed] = field(default_factory=deque)
    due_at: float | None = None  # when the database may have work for it; None: nothing known
    noted_at: float = 0.0  # when `due_at` was last learnt
    not_before: float = 0.0  # when its rate limit allows the next one
    heard_at: float = 0.0  # when an attempt last ended, or the only one began
    heard: bool = False  # whether an attempt has ever ended
    slow: bool = True  # whether what it holds counts in `share`; see `is_slow`
    probing: bool = False  # it is paused, and one delivery may go
    taken_over: int = 0  # the term in which it was
    ordered: bool | None = None  # what was taken over, and is held, keeps order; None: nothing yet
    look_again_at: float = 0.0  # when it may be taken over at the earliest

    def __post_init__(self) -> None:
        self.limit = limit_of(self.rules.max_in_flight)

    def update(self, rules: LaneRules) -> None:
        """Follow other rules from now on."""
        self.rules = rules
        self.limit = limit_of(rules.max_in_flight, self.limit)

    @property
    def ahead(self) -> int:
        """How many of what it holds are still to be attempted, or just are."""
        return self.reserved + len(self.at_hand) + self.in_flight

    @property
    def unsure(self) -> bool:
        """Whether deliveries are on their way to it or from it: a claim could overtake them."""
        return self.reserved > 0 or self.releasing > 0

    def is_slow(self, clock: Callable[[], float]) -> bool:
        """Whether its target struggles, has been silent for a while, or was never heard of."""
        if not self.heard or self.limit.reduced:
            return True
        return self.in_flight > 0 and clock() - self.heard_at > _SILENT

    def is_current(self) -> bool:
        """Whether what it holds may start: it is still this engine's, and its order unchanged."""
        if self.ordered is None:
            self.ordered = self.rules.ordered
        return not self.rules.elsewhere and self.ordered is self.rules.ordered

    def is_ready(self) -> bool:
        """Whether it is taken over, so that it may have more."""
        return self.is_current() and self.taken_over == self.rules.term

    def ready_at(self, due_at: float) -> float:
        """Return when it may be asked for: when work is due, and its rate allows it."""
        ready = max(due_at, self.look_again_at)
        return ready if self.rules.rate_limit is None else max(ready, self.not_before)
