"""How many deliveries a process holds, of how many bytes, and how many more a lane may have."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hookline.dispatch.lane import LaneState
from hookline.dispatch.tenant_shares import Places, Share
from hookline.domain.access import Tenant

_SHARE = 4  # no slow lane and no claim takes more than a quarter of what is free: some always is
_SHARE_OF_FAST = 2  # whose places are soon free again
_ENOUGH = 0.75  # of a lane's places: with more in hand, it is not claimed for


@dataclass(slots=True)
class Capacity:
    """What all lanes of a process hold together, of `most_held` deliveries and `most_bytes`.

    A lane gets a share of what is left, so that many lanes whose targets hang leave room for the
    others. All slow lanes share one half of both, and of that each tenant has a share.
    """

    most_held: int
    most_bytes: int
    held: int = 0
    bytes_held: int = 0
    slow: Places = field(init=False)  # of `most_held`, those of the slow lanes
    slow_bytes: Places = field(init=False)  # and of `most_bytes`

    def __post_init__(self) -> None:
        self.slow = Places(max(1, self.most_held // 2))
        self.slow_bytes = Places(max(1, self.most_bytes // 2))

    def shares_of(self, tenant: Tenant) -> tuple[Share, Share]:
        """Return a tenant's share of the slow lanes' places, and of their bytes."""
        return self.slow.share_of(tenant), self.slow_bytes.share_of(tenant)

    def hold(self, lane: LaneState, size: int) -> None:
        """Hold a place for a delivery that is being leased."""
        lane.held += 1
        lane.reserved += 1
        lane.bytes_held += size
        self.held += 1
        if lane.slow:
            lane.share.add(1)
            lane.byte_share.add(size)
        self.bytes_held += size

    def drop(self, lane: LaneState, size: int) -> None:
        """Drop a delivery."""
        lane.held -= 1
        lane.bytes_held -= size
        self.held -= 1
        if lane.slow:
            lane.share.add(-1)
            lane.byte_share.add(-size)
        self.bytes_held -= size

    def mark(self, lane: LaneState, clock: Callable[[], float]) -> None:
        """Count a lane among the slow ones, or no longer."""
        slow = lane.is_slow(clock)
        if lane.slow != slow:
            lane.slow = slow
            sign = 1 if slow else -1
            lane.share.add(sign * lane.held)
            lane.byte_share.add(sign * lane.bytes_held)

    def move(self, lane: LaneState, tenant: Tenant) -> None:
        """Have a lane count for whose it is now: it became known, or its PBX moved."""
        share, byte_share = self.shares_of(tenant)
        if share is not lane.share:
            if lane.slow:
                lane.share.add(-lane.held)
                share.add(lane.held)
                lane.byte_share.add(-lane.bytes_held)
                byte_share.add(lane.bytes_held)
            lane.share, lane.byte_share = share, byte_share

    def fits(self, lane: LaneState, size: int) -> bool:
        """Whether a lane may hold one more delivery, with a payload of that size."""
        if lane.ahead >= self.limit(lane, self.left(lane)):
            return False
        left = self._bytes_left(lane)
        return size <= left and lane.bytes_held <= left // _SHARE

    @property
    def bytes_to_claim(self) -> int:
        """How many bytes of payloads the next claim may bring; it may pass that by one payload."""
        return (self.most_bytes - self.bytes_held) // _SHARE

    def _bytes_left(self, lane: LaneState) -> int:
        left = self.most_bytes - self.bytes_held
        return min(left, lane.byte_share.room) if lane.slow else left

    def left(self, lane: LaneState, taken: int = 0) -> int:
        """Return how many places are free to this lane, besides those already taken."""
        left = self.most_held - self.held - taken
        return min(left, lane.share.room) if lane.slow else left

    def limit(self, lane: LaneState, left: int) -> int:
        """Return how many a lane may have ahead of it while `left` places are free to it."""
        if left <= 0:
            return 0
        share = left // (_SHARE if lane.slow else _SHARE_OF_FAST)
        return min(lane.rules.capacity(lane.limit.allowed), max(1, share))

    def room(self, lane: LaneState, taken: int = 0) -> int:
        """Return how many to ask for: few are not worth a round trip, and late ones idle."""
        left = self.left(lane, taken)
        if lane.rules.paused or lane.rules.elsewhere:
            return int(lane.probing and left > 0 and not lane.rules.elsewhere)
        limit = self.limit(lane, left)
        bytes_left = self._bytes_left(lane) // _SHARE
        too_large = lane.bytes_held > bytes_left or bytes_left <= 0
        return 0 if too_large or lane.ahead > limit * _ENOUGH else limit - lane.ahead
