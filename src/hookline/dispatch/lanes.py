"""One lane for each integration: what is in flight, what is at hand, what waits in the database.

A slow, dead or flooding target fills its own lane and no other. Each lane holds a bounded number of
leased deliveries: some in flight, a few more at hand so that a fast target never waits for a claim.
The rest stays in the database, and claims ask only for lanes that have room.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hookline.queue.port import Claimed, Lane, Waiting

_AT_HAND = 3  # leased deliveries for each one in flight: hides a claim behind three attempts


@dataclass(frozen=True, slots=True)
class LaneRules:
    """What an integration allows: deliveries in flight at once, and whether order is kept."""

    max_in_flight: int
    ordered: bool

    @property
    def capacity(self) -> int:
        """How many leased deliveries the lane holds at the most."""
        return self.max_in_flight * (1 + _AT_HAND)


@dataclass(slots=True)
class _Lane:
    held: int = 0  # reserved, at hand or in flight
    in_flight: int = 0
    at_hand: deque[Claimed] = field(default_factory=deque)
    due_at: float | None = None  # when the database may have work for it; None: nothing known
    noted_at: float = 0.0  # when `due_at` was last learnt


@dataclass(slots=True)
class Lanes:
    """The lanes of this process.

    `most_held` bounds the leased deliveries of all lanes together and `most_bytes` their payloads.
    What is held stays so until its outcome is written (`settled`), so a database that is away stops
    the engine instead of filling its memory. Times are those of `clock`, in seconds.
    """

    rules_of: Callable[[str], LaneRules]
    most_held: int
    most_bytes: int
    clock: Callable[[], float] = time.monotonic
    held: int = 0
    bytes_held: int = 0
    _lanes: dict[str, _Lane] = field(default_factory=dict)

    def reserve(self, integration_id: str, size: int) -> bool:
        """Hold a place for a delivery that is about to be born leased; False leaves it to a claim.

        A lane with work due in the database takes that first, so that new events never overtake a
        backlog; a lane that keeps order always goes through the database, which knows the order.
        """
        if self.held >= self.most_held or self.bytes_held + size > self.most_bytes:
            return False
        lane = self._lane(integration_id)
        rules = self.rules_of(integration_id)
        if rules.ordered or lane.held >= rules.capacity:
            return False
        if lane.due_at is not None and lane.due_at <= self.clock():
            return False
        self._hold(lane, size)
        return True

    def admit(self, job: Claimed) -> bool:
        """Take a leased delivery that is held; True: start it now, False: it waits at hand."""
        lane = self._lane(job.integration_id)
        if lane.in_flight < self.rules_of(job.integration_id).max_in_flight:
            lane.in_flight += 1
            return True
        lane.at_hand.append(job)
        return False

    def attempt_ended(self, integration_id: str) -> Claimed | None:
        """End an attempt; return the delivery at hand that takes its slot, if there is one."""
        lane = self._lane(integration_id)
        if lane.at_hand and lane.in_flight <= self.rules_of(integration_id).max_in_flight:
            return lane.at_hand.popleft()
        lane.in_flight -= 1
        return None

    def let_go(self, integration_id: str, size: int) -> None:
        """Stop holding a delivery: its outcome is written, or it was never stored."""
        self._lane(integration_id).held -= 1
        self.held -= 1
        self.bytes_held -= size

    def expect(self, integration_id: str, due_in: float = 0.0) -> None:
        """Note that the database has, or will have in `due_in` seconds, work for a lane."""
        lane = self._lane(integration_id)
        now = self.clock()
        if lane.due_at is None or now + due_in < lane.due_at:
            lane.due_at = now + due_in
        lane.noted_at = now

    def found(self, waiting: Sequence[Waiting], asked_at: float) -> None:
        """Take the database's word, as of `asked_at`, for what waits where.

        What was noted since then is newer and stays. Lanes without work or leases are forgotten.
        """
        for each in waiting:
            lane = self._lane(each.integration_id)
            lane.due_at = self._nearer(lane, asked_at + each.due_in, asked_at)
        named = {each.integration_id for each in waiting}
        for integration_id, lane in list(self._lanes.items()):
            if integration_id not in named and lane.noted_at < asked_at:
                lane.due_at = None
                if lane.held == 0:
                    del self._lanes[integration_id]

    def claimable(self) -> list[Lane]:
        """Return the lanes with work due and half of their places free, and how much to ask for."""
        now = self.clock()
        left = self.most_held - self.held if self.bytes_held < self.most_bytes else 0
        asked = []
        for integration_id, lane in self._lanes.items():
            if left <= 0:
                break
            if lane.due_at is None or lane.due_at > now:
                continue
            rules = self.rules_of(integration_id)
            room = min(rules.capacity - lane.held, left)
            if room > 0 and lane.held * 2 <= rules.capacity:
                asked.append(Lane(integration_id, room, rules.ordered))
                left -= room
        return asked

    def claimed(self, asked: Sequence[Lane], jobs: Sequence[Claimed], asked_at: float) -> None:
        """Hold what was claimed; a lane that gave less than was asked for has no more due."""
        counts: dict[str, int] = {}
        for job in jobs:
            counts[job.integration_id] = counts.get(job.integration_id, 0) + 1
            self._hold(self._lane(job.integration_id), len(job.event.payload))
        for request in asked:
            lane = self._lane(request.integration_id)
            if counts.get(request.integration_id, 0) < request.room and lane.noted_at < asked_at:
                lane.due_at = None

    def next_due(self) -> float | None:
        """Return in how many seconds a lane that can take it has work due; None: not known."""
        if self.held >= self.most_held:
            return None
        now = self.clock()
        due = [
            lane.due_at
            for integration_id, lane in self._lanes.items()
            if lane.due_at is not None and lane.held * 2 <= self.rules_of(integration_id).capacity
        ]
        return max(0.0, min(due) - now) if due else None

    def take_at_hand(self) -> list[Claimed]:
        """Empty every lane's hand: what a stopping engine gives back without an attempt."""
        jobs = [job for lane in self._lanes.values() for job in lane.at_hand]
        for lane in self._lanes.values():
            lane.at_hand.clear()
        return jobs

    def in_flight(self) -> Mapping[str, int]:
        """Return how many attempts run now in each lane that has any."""
        return {name: lane.in_flight for name, lane in self._lanes.items() if lane.in_flight}

    def _lane(self, integration_id: str) -> _Lane:
        lane = self._lanes.get(integration_id)
        if lane is None:
            lane = self._lanes[integration_id] = _Lane()
        return lane

    def _hold(self, lane: _Lane, size: int) -> None:
        lane.held += 1
        self.held += 1
        self.bytes_held += size

    def _nearer(self, lane: _Lane, due_at: float, asked_at: float) -> float:
        noted_since = lane.due_at is not None and lane.noted_at >= asked_at
        return min(due_at, lane.due_at) if noted_since and lane.due_at is not None else due_at
