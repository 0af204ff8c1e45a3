"""One lane for each integration: what is in flight, what is at hand, what waits in the database.

A slow, dead or flooding target fills its own lane and no other. Each lane holds a bounded number of
leased deliveries: some in flight, a few more at hand so that a fast target never waits for a claim.
The rest stays in the database, and claims ask only for lanes that have room.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hookline.dispatch.capacity import Capacity
from hookline.dispatch.lane import LaneRules, LaneState
from hookline.domain.access import Tenant
from hookline.queue.port import Claimed, Lane, Waiting

_REMEMBERED = 600.0  # seconds for which an answer shows that a target is not one of those
_NEVER = -1  # no term
_LOOK_AGAIN = 0.2  # seconds until a lane that others still hold deliveries of is looked at again
_TICK = 1e-9  # seconds between two moments that a coarse clock does not tell apart


@dataclass(slots=True)
class Lanes:
    """The lanes of this process.

    `most_held` bounds the leased deliveries of all lanes together and `most_bytes` their payloads.
    Slow lanes, whose targets struggle, are silent or were never heard of, share one half: each
    tenant (by `owner_of`) a part. What is held stays so until its outcome is written, so a
    database that is away stops the engine instead of filling its memory.
    `rules_of` tells what an integration is allowed: a lane keeps that until `update_rules`.
    Times are those of `moment`, in seconds.
    """

    rules_of: Callable[[str], LaneRules]
    owner_of: Callable[[str], Tenant]
    most_held: int
    most_bytes: int
    clock: Callable[[], float] = time.monotonic
    _capacity: Capacity = field(init=False)
    _lanes: dict[str, LaneState] = field(default_factory=dict)
    _noted: dict[str, None] = field(default_factory=dict)  # those with a `due_at`, in turn
    _not_ready: list[tuple[Lane, int]] = field(default_factory=list)
    _latest: float = 0.0

    def __post_init__(self) -> None:
        self._capacity = Capacity(self.most_held, self.most_bytes)

    @property
    def held(self) -> int:
        """How many leased deliveries all lanes hold."""
        return self._capacity.held

    @property
    def bytes_held(self) -> int:
        """How many bytes of payloads all lanes hold."""
        return self._capacity.bytes_held

    @property
    def slow_held(self) -> int:
        """Of `held`, what the slow lanes hold."""
        return self._capacity.slow.held

    def moment(self) -> float:
        """Return the time; later calls return later times, whatever the clock's grain."""
        self._latest = max(self.clock(), self._latest + _TICK)
        return self._latest

    def reserve(self, integration_id: str, size: int) -> bool:
        """Hold a place for a delivery that is about to be born leased; False leaves it to a claim.

        A lane with work due in the database takes that first, so that new events never overtake a
        backlog, and so does one that is releasing deliveries; a lane that keeps order, a rate or
        the latest alone, or is paused, always goes through the database, which knows more.
        """
        lane = self._lane(integration_id)
        rules = lane.rules
        if rules.ordered or rules.paused or rules.rate_limit is not None or rules.keeps_latest:
            return False
        if not lane.is_ready():
            return False
        self._capacity.mark(lane, self.clock)
        if not self._capacity.fits(lane, size):
            return False
        if lane.releasing or (lane.due_at is not None and lane.due_at <= self.clock()):
            return False
        self._capacity.hold(lane, size)
        return True

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
                self._note(integration_id, lane, lane.due_at)
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
        return self._lane(integration_id).rules.elsewhere

    def is_ordered(self, integration_id: str) -> bool:
        """Whether a lane keeps order."""
        return self._lane(integration_id).rules.ordered

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

    def to_take_over(self) -> list[tuple[Lane, int]]:
        """Return the lanes that `claimable` left out, to be taken over first, and in which term."""
        found, self._not_ready = self._not_ready, []
        return found

    def took_over(self, asked: Sequence[tuple[Lane, int]], ready: set[str]) -> None:
        """Note which lanes were taken over; the others' deliveries are still in others' hands."""
        for request, term in asked:
            lane = self._lane(request.integration_id)
            if request.integration_id in ready:
                lane.taken_over, lane.ordered = term, request.ordered
            else:
                lane.look_again_at = self.clock() + _LOOK_AGAIN

    def with_work_due(self, integration_ids: Iterable[str]) -> list[str]:
        """Return those of these lanes that the database has work for now."""
        now = self.clock()
        return [
            each
            for each in integration_ids
            if (lane := self._lanes.get(each)) and lane.due_at is not None and lane.due_at <= now
            if not lane.rules.elsewhere
        ]

    def let_probe(self, integration_id: str) -> None:
        """Let one delivery go to a paused target."""
        lane = self._lane(integration_id)
        lane.probing = True
        self._note(integration_id, lane, lane.due_at)

    def not_before(self, integration_id: str, seconds: float) -> None:
        """Ask for nothing more for a lane until so many seconds from now: its rate is used up."""
        self._lane(integration_id).not_before = self.clock() + seconds

    def drop_reserved(self, integration_id: str, size: int) -> None:
        """Drop the reservation of a place whose delivery is not to be admitted."""
        self._lanes[integration_id].reserved -= 1
        self.drop(integration_id, size)

    def releasing(self, integration_id: str) -> None:
        """Note that a lease is being released: until it is, nothing may overtake the delivery."""
        self._lanes[integration_id].releasing += 1

    def released(self, integration_id: str) -> None:
        """Note that a lease was released: the delivery waits in the database again."""
        self._lanes[integration_id].releasing -= 1
        self.expect(integration_id)

    def drop(self, integration_id: str, size: int) -> None:
        """Drop a delivery: its outcome is written, or it is not (or no longer) ours."""
        self._capacity.drop(self._lanes[integration_id], size)

    def expect(self, integration_id: str, due_in: float = 0.0) -> None:
        """Note that the database has, or will have in `due_in` seconds, work for a lane."""
        lane = self._lane(integration_id)
        due_at = self.clock() + due_in
        nearer = lane.due_at is None or due_at < lane.due_at
        if nearer:
            self._note(integration_id, lane, due_at)
        if nearer or due_in <= 0:  # a claim that is under way may have missed what is due now
            lane.noted_at = self.moment()

    def found(self, waiting: Sequence[Waiting], asked_at: float) -> None:
        """Take the database's word, as of `asked_at`, for what waits where.

        What was noted since then is newer and stays. Lanes without work or leases are forgotten,
        some minutes after their targets were last heard of.
        """
        for each in waiting:
            lane = self._lane(each.integration_id)
            if lane.ordered is not None and lane.ordered is not each.ordered:
                lane.taken_over = _NEVER  # its order was changed while this was being stored
            due_at = asked_at + each.due_in
            if lane.noted_at > asked_at and lane.due_at is not None:
                due_at = min(due_at, lane.due_at)
            self._note(each.integration_id, lane, due_at)
        named = {each.integration_id for each in waiting}
        for integration_id, lane in list(self._lanes.items()):
            self._capacity.move(lane, self.owner_of(integration_id))
            if integration_id not in named and lane.noted_at < asked_at:
                self._note(integration_id, lane, None)
                idle = lane.held == lane.releasing == 0
                if idle and lane.heard_at < asked_at - _REMEMBERED:
                    del self._lanes[integration_id]

    @property
    def bytes_to_claim(self) -> int:
        """How many bytes of payloads the next claim may bring; it may pass that by one payload."""
        return self._capacity.bytes_to_claim

    def claimable(self) -> list[Lane]:
        """Return the lanes with work due and a quarter of their places free, and what to ask for.

        Lanes that were asked for go behind the others: what is left is given out in turn. Those
        that are to be taken over first are left out, and told by `to_take_over`.
        """
        now = self.clock()
        taken = 0
        asked: list[Lane] = []
        slow: list[
            tuple[LaneState, int]
        ] = []  # what is asked for counts as held until all is asked
        for integration_id in list(self._noted):
            lane = self._lanes[integration_id]
            if lane.due_at is None or lane.due_at > now:
                continue
            if lane.slow and lane.share.room <= 0:
                continue  # first of all: hundreds may wait for the slow half
            rules = lane.rules
            if rules.elsewhere or (rules.paused and not lane.probing):
                del self._noted[integration_id]  # until it is probed, resumed or found again
                continue
            if lane.turn(lane.due_at) > now or lane.unsure:
                continue
            self._capacity.mark(lane, self.clock)
            room = self._capacity.room(lane, taken)
            if room > 0 and not lane.is_ready():
                self._leave_out(integration_id, lane)
            elif room > 0:
                asked.append(Lane(integration_id, room, rules.ordered, rules.rate_limit))
                taken += room
                if lane.slow:
                    lane.share.add(room)
                    slow.append((lane, room))
                del self._noted[integration_id]
                self._noted[integration_id] = None
        for lane, room in slow:
            lane.share.add(-room)
        return asked

    def claimed(
        self, asked: Sequence[Lane], jobs: Sequence[Claimed], asked_at: float, *, most_bytes: int
    ) -> None:
        """Hold what was claimed; a lane that gave less than was asked for has no more due.

        Unless the claim was cut at its `most_bytes`: then nobody knows.
        """
        counts: dict[str, int] = {}
        for job in jobs:
            counts[job.integration_id] = counts.get(job.integration_id, 0) + 1
            self._capacity.hold(self._lane(job.integration_id), len(job.event.payload))
        if sum(len(job.event.payload) for job in jobs) >= most_bytes:
            return
        for request in asked:
            lane = self._lane(request.integration_id)
            got = counts.get(request.integration_id, 0)
            if got < request.room and lane.noted_at < asked_at:
                self._note(request.integration_id, lane, None)
            if got == 0:
                lane.probing = False

    def next_due(self) -> float | None:
        """Return in how many seconds a lane that can take it has work due; None: not known."""
        due: list[float] = []
        for integration_id in self._noted:
            lane = self._lanes[integration_id]
            if lane.due_at is None or lane.unsure or (lane.slow and lane.share.room <= 0):
                continue
            self._capacity.mark(lane, self.clock)
            if self._capacity.room(lane) > 0:
                due.append(lane.turn(lane.due_at))
        return max(0.0, min(due) - self.clock()) if due else None

    def wants_more(self, integration_id: str) -> bool:
        """Tell whether to claim for a lane now."""
        lane = self._lanes[integration_id]
        if lane.due_at is None or lane.unsure or (lane.slow and lane.share.room <= 0):
            return False
        if self._capacity.room(lane) <= 0:
            return False
        return lane.turn(lane.due_at) <= self.clock()

    @property
    def expecting(self) -> bool:
        """Whether the database is known to have work for any lane, now or later."""
        return bool(self._noted)

    def take_unstarted(self) -> list[Claimed]:
        """Empty every lane's hand: what a stopping engine releases without an attempt."""
        jobs = [job for lane in self._lanes.values() for job in lane.at_hand]
        for lane in self._lanes.values():
            lane.at_hand.clear()
        return jobs

    def in_flight(self) -> Mapping[str, int]:
        """Return how many attempts run now in each lane that has any."""
        return {name: lane.in_flight for name, lane in self._lanes.items() if lane.in_flight}

    def _lane(self, integration_id: str) -> LaneState:
        lane = self._lanes.get(integration_id)
        if lane is None:
            shares = self._capacity.shares_of(self.owner_of(integration_id))
            lane = self._lanes[integration_id] = LaneState(self.rules_of(integration_id), *shares)
        return lane

    def _note(self, integration_id: str, lane: LaneState, due_at: float | None) -> None:
        lane.due_at = due_at
        if due_at is None:
            self._noted.pop(integration_id, None)
        else:
            self._noted.setdefault(integration_id)

    def _leave_out(self, integration_id: str, lane: LaneState) -> None:
        """Have a lane taken over; where its order was changed, once what it holds has ended."""
        if lane.held and not lane.is_current():
            lane.look_again_at = self.clock() + _LOOK_AGAIN
        else:
            self._not_ready.append((Lane(integration_id, 0, lane.rules.ordered), lane.rules.term))
