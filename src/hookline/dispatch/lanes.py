"""One lane for each integration: what is in flight, what is at hand, what waits in the database.

A slow, dead or flooding target fills its own lane and no other. Each lane holds a bounded number of
leased deliveries: some in flight, a few more at hand so that a fast target never waits for a claim.
The rest stays in the database, and claims ask only for lanes that have room.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from hookline.dispatch.lane import LaneRules, LaneState
from hookline.dispatch.lane_schedule import Capacity, LaneSchedule
from hookline.dispatch.pace import SHARE, Pace
from hookline.domain.access import Tenant
from hookline.queue.port import Claimed

_NO_ROOM = 0.2  # seconds until a lane of another engine's is tried again that had no room


@dataclass(slots=True)
class Lanes:
    """The lanes of this process.

    `most_held` bounds the leased deliveries of all lanes together and `most_bytes` their payloads.
    Slow lanes, whose targets struggle, are silent or were never heard of, share one half: each
    tenant (by `owner_of`) a part. What is held stays so until its outcome is written, so a
    database that is away stops the engine instead of filling its memory.
    `rules_of` tells what an integration is allowed: a lane keeps that until `update_rules`.
    What the database has for them is in `schedule`; `pace` says when attempts may begin:
    `cpu_share` is what a tenant has beside others. Times are seconds.
    """

    rules_of: Callable[[str], LaneRules]
    owner_of: Callable[[str], Tenant]
    most_held: int
    most_bytes: int
    clock: Callable[[], float] = time.monotonic
    cpu_share: float = SHARE
    _capacity: Capacity = field(init=False)
    schedule: LaneSchedule = field(init=False)
    pace: Pace = field(init=False)
    _lanes: dict[str, LaneState] = field(init=False)

    def __post_init__(self) -> None:
        self._capacity = Capacity(self.most_held, self.most_bytes)
        self.schedule = LaneSchedule(self.rules_of, self.owner_of, self._capacity, self.clock)
        self._lanes = self.schedule.lanes
        self.pace = Pace(self.owner_of, self.clock, share=self.cpu_share)

    @property
    def held(self) -> int:
        """How many leased deliveries all lanes hold."""
        return self._capacity.held

    @property
    def bytes_held(self) -> int:
        """How many bytes of payloads all lanes hold."""
        return self._capacity.bytes_held

    def reserve(self, integration_id: str, size: int) -> bool:
        """Hold a place for a delivery that is about to be born leased; False leaves it to a claim.

        A lane with work due in the database takes that first, so that new events never overtake a
        backlog, and so does one that is releasing deliveries; a lane that keeps order, a rate or
        the latest alone, or is paused, always goes through the database, which knows more.
        """
        lane = self.schedule.lane(integration_id)
        if lane.due_at is not None and lane.due_at <= self.clock():
            return False
        return self._reserve(lane, size)

    def reserve_handed(self, integration_id: str, size: int, stored_after: float) -> bool:
        """Hold a place for a delivery that another process stored leased to this one.

        The database found nothing due in its lane when it was stored, later than `stored_after`;
        what this process has released since then goes first.
        """
        lane = self.schedule.lane(integration_id)
        return lane.released_at < stored_after and self._reserve(lane, size)

    def _reserve(self, lane: LaneState, size: int) -> bool:
        if not lane.rules.direct or not lane.is_ready() or self.schedule.leases_nothing:
            return False
        self._capacity.mark(lane, self.clock)
        if lane.releasing or not self._capacity.fits(lane, size):
            return False
        self._capacity.hold(lane, size)
        return True

    def engine_of(self, integration_id: str) -> int | None:
        """Return the place of the engine that new deliveries may be handed to, if it is another."""
        lane = self.schedule.lane(integration_id)
        may = lane.rules.elsewhere and lane.rules.direct and lane.not_handed_until <= self.clock()
        return lane.rules.place if may else None

    def not_handed(self, integration_id: str) -> None:
        """Note that another engine had no room in its lane: for a moment nothing is handed over."""
        self.schedule.lane(integration_id).not_handed_until = self.clock() + _NO_ROOM

    def admit(self, job: Claimed) -> Claimed | None:
        """Take a leased delivery that is held, behind what is at hand; return what starts now."""
        lane = self._lanes[job.integration_id]
        lane.reserved -= 1
        lane.at_hand.append(job)
        return self.next_at_hand(job.integration_id)

    def next_at_hand(self, integration_id: str) -> Claimed | None:
        """Return the oldest delivery at hand, to be started now, if one may."""
        lane = self._lanes[integration_id]
        if not lane.at_hand or not lane.is_current():
            return None
        rules = lane.rules
        if rules.paused:
            may_start, lane.probing = lane.probing, False
        else:
            may_start = lane.in_flight < lane.limit.allowed
        if not may_start:
            return None
        if not lane.in_flight:
            lane.heard_at = self.clock()
        lane.in_flight += 1
        return lane.at_hand.popleft()

    def attempt_ended(self, integration_id: str) -> Claimed | None:
        """End an attempt; return the delivery at hand that takes its slot, if there is one."""
        lane = self._lanes[integration_id]
        lane.heard, lane.heard_at = True, self.clock()
        if lane.slow:
            self._capacity.mark(lane, self.clock)
        within = lane.in_flight <= lane.limit.allowed
        if lane.at_hand and within and not lane.rules.paused and lane.is_current():
            return lane.at_hand.popleft()
        lane.in_flight -= 1
        return None

    def slow_down(self, integration_id: str) -> list[Claimed]:
        """Allow fewer attempts at once after a failure; return what is held too much.

        To be told before the attempt's end.
        """
        lane = self._lanes[integration_id]
        lane.limit.failed(lane.in_flight)
        self._capacity.mark(lane, self.clock)
        surplus = lane.ahead - lane.rules.capacity(lane.limit.allowed)
        return [lane.at_hand.pop() for _ in range(min(surplus, len(lane.at_hand)))]

    def speed_up(self, integration_id: str, latency_ms: int) -> bool:
        """Learn from a success how many attempts the target bears; tell whether more may run.

        To be told before the attempt's end.
        """
        lane = self._lanes[integration_id]
        reduced = lane.limit.reduced
        more = lane.limit.succeeded(latency_ms, lane.in_flight)
        if reduced:
            self._capacity.mark(lane, self.clock)
        return more

    def reset(self, integration_ids: Iterable[str]) -> list[Claimed]:
        """Have lanes begin anew from one in flight; return what they hold unstarted.

        To be told of paused lanes, and once of those that are resumed.
        """
        jobs: list[Claimed] = []
        for integration_id in integration_ids:
            lane = self._lanes.get(integration_id)
            if lane is None:
                continue
            lane.limit.restart()
            self._capacity.mark(lane, self.clock)
            if not lane.rules.paused:
                self.schedule.note(integration_id, lane, lane.due_at)
            jobs += lane.at_hand
            lane.at_hand.clear()
        return jobs

    def update_rules(self, integration_ids: Iterable[str] | None = None) -> None:
        """Look up anew what lanes are allowed, those named or all: it was changed."""
        for integration_id in list(self._lanes) if integration_ids is None else integration_ids:
            if (lane := self._lanes.get(integration_id)) is not None:
                lane.update(self.rules_of(integration_id))

    def is_elsewhere(self, integration_id: str) -> bool:
        """Whether a lane is another engine's."""
        return self.schedule.lane(integration_id).rules.elsewhere

    def is_ordered(self, integration_id: str) -> bool:
        """Whether a lane keeps order."""
        return self.schedule.lane(integration_id).rules.ordered

    def misplaced(self) -> list[Claimed]:
        """Return what lanes hold unstarted that moved to another engine, or changed their order.

        Where that was undone, nothing may be in flight any more whose end would start the rest.
        """
        jobs: list[Claimed] = []
        for lane in self._lanes.values():
            if not lane.at_hand:
                continue
            if not lane.in_flight or not lane.is_current():
                jobs += lane.at_hand
                lane.at_hand.clear()
        return jobs

    def allow_probe(self, integration_id: str) -> None:
        """Allow one delivery to a paused target."""
        lane = self.schedule.lane(integration_id)
        lane.probing = True
        self.schedule.note(integration_id, lane, lane.due_at)

    def not_before(self, integration_id: str, seconds: float) -> None:
        """Ask for nothing more for a lane until so many seconds from now: its rate is used up."""
        self.schedule.lane(integration_id).not_before = self.clock() + seconds

    def drop_reserved(self, integration_id: str, size: int) -> None:
        """Drop the reservation of a place whose delivery is not to be admitted."""
        self._lanes[integration_id].reserved -= 1
        self.drop(integration_id, size)

    def releasing(self, integration_id: str) -> None:
        """Note that a lease is being released: until it is, nothing may overtake the delivery."""
        lane = self.schedule.lane(integration_id)
        lane.releasing += 1
        lane.released_at = self.clock()

    def released(self, integration_id: str) -> None:
        """Note that a lease was released: the delivery waits in the database again."""
        lane = self._lanes[integration_id]
        lane.releasing -= 1
        lane.released_at = self.clock()
        self.schedule.expect(integration_id)

    def drop(self, integration_id: str, size: int) -> None:
        """Drop a delivery: its outcome is written, or it is not (or no longer) ours."""
        self._capacity.drop(self._lanes[integration_id], size)

    @property
    def bytes_to_claim(self) -> int:
        """How many bytes of payloads the next claim may bring; it may pass that by one payload."""
        return self._capacity.bytes_to_claim

    def take_unstarted(self, integration_ids: Iterable[str] | None = None) -> list[Claimed]:
        """Return what lanes have at hand, those named or all: it is released without an attempt."""
        named = self._lanes if integration_ids is None else integration_ids
        jobs: list[Claimed] = []
        for integration_id in named:
            if (lane := self._lanes.get(integration_id)) is not None:
                jobs += lane.at_hand
                lane.at_hand.clear()
        return jobs

    def in_flight(self) -> Mapping[str, int]:
        """Return how many attempts run now in each lane that has any."""
        return {name: lane.in_flight for name, lane in self._lanes.items() if lane.in_flight}
