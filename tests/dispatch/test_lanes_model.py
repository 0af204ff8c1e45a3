"""The lanes against a model, in whatever order things happen."""

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import DataObject, booleans, data, floats, integers, none, sampled_from
from msgspec.structs import replace

from hookline.dispatch.lane import LaneRules
from hookline.dispatch.lanes import Lanes
from hookline.domain.access import Tenant
from hookline.queue.port import Claimed, Waiting
from support.jobs import a_job

NAMES = ("a", "b", "c", "d")
UNKNOWN_TARGET = 8  # attempts at once that an adaptive limit begins with
names = sampled_from(NAMES)


class LanesAgainstModel(RuleBasedStateMachine):
    """Knows each delivery that is held, where it is, and what must never be exceeded."""

    @initialize(most_held=integers(1, 40), most_bytes=integers(1, 400), order=booleans())
    def open(self, most_held: int, most_bytes: int, *, order: bool) -> None:
        self.now = 0.0
        self.allowed = {name: LaneRules(2, ordered=order and name == "d", term=1) for name in NAMES}
        self.owners = {name: Tenant("one" if name in "ab" else None, name) for name in NAMES}
        self.lanes = Lanes(
            self.allowed.__getitem__,
            self.owners.__getitem__,
            most_held=most_held,
            most_bytes=most_bytes,
            clock=self.clock,
        )
        self.running: dict[str, list[Claimed]] = {name: [] for name in NAMES}
        self.at_hand: dict[str, list[Claimed]] = {name: [] for name in NAMES}
        self.unwritten: list[Claimed] = []
        self.reserved: list[Claimed] = []
        self.leased_in_order: dict[str, bool] = {}  # what a lane holds
        self.largest_claimed = 0

    def clock(self) -> float:
        return self.now

    @rule(seconds=floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=names, bound=none() | integers(1, 5))
    def an_integration_changes(self, name: str, bound: int | None) -> None:
        self.allow(name, max_in_flight=bound)

    @rule(name=names, ordered=booleans())
    def an_order_changes(self, name: str, *, ordered: bool) -> None:
        self.allow(name, ordered=ordered)

    @rule(name=names)
    def a_lane_was_perhaps_another_engines(self, name: str) -> None:
        self.allow(name, term=self.allowed[name].term + 1)

    @rule(name=names, company=sampled_from([None, "one", "two"]))
    def a_pbx_moves(self, name: str, company: str | None) -> None:
        self.owners[name] = Tenant(company, name)

    @rule(name=names, size=integers(0, 60))
    def an_event_comes(self, name: str, size: int) -> None:
        if self.lanes.reserve(name, size):
            assert not self.allowed[name].ordered
            assert len(self.ahead(name)) < self.most_of(name)
            self.lease(name)
            self.reserved.append(a_job(name, size=size))

    @precondition(lambda self: self.reserved)
    @rule(stored=booleans())
    def an_append_ends(self, *, stored: bool) -> None:
        job = self.reserved.pop()
        if stored:
            self.admit(job)
        else:
            self.lanes.drop_reserved(job.integration_id, len(job.event.payload))

    @rule(name=names, due_in=floats(0, 20))
    def work_is_expected(self, name: str, due_in: float) -> None:
        self.lanes.schedule.expect(name, due_in)

    @rule(waiting=sampled_from([(), ("a",), ("a", "b"), NAMES]), due_in=floats(-5, 20))
    def a_poll_ends(self, waiting: tuple[str, ...], due_in: float) -> None:
        self.lanes.schedule.found(
            [Waiting(name, due_in, self.allowed[name].ordered) for name in waiting],
            self.lanes.schedule.moment(),
        )
        self.release(self.lanes.misplaced())
        for name in NAMES:
            assert self.running[name] or not self.at_hand[name]
            assert self.may_start(name) or not self.at_hand[name]

    @rule(draws=data(), size=integers(0, 60), ready=booleans())
    def a_claim_ends(self, draws: DataObject, size: int, *, ready: bool) -> None:
        asked, most_bytes = self.lanes.schedule.claimable(), self.lanes.bytes_to_claim
        if to_take_over := self.lanes.schedule.to_take_over():
            taken_over = [lane.integration_id for lane, _ in to_take_over] if ready else []
            self.lanes.schedule.took_over(to_take_over, set(taken_over))
            return
        if not asked:
            return
        assert most_bytes > 0
        asked_at = self.lanes.schedule.moment()
        jobs: list[Claimed] = []
        for lane in asked:
            name = lane.integration_id
            assert len(self.ahead(name)) + lane.room <= self.most_of(name)
            for _ in range(draws.draw(integers(0, lane.room))):
                if sum(len(job.event.payload) for job in jobs) < most_bytes:
                    self.lease(name)
                    jobs.append(a_job(name, size=size))
        self.largest_claimed = max(self.largest_claimed, size if jobs else 0)
        self.lanes.schedule.claimed(asked, jobs, asked_at, most_bytes=most_bytes)
        for job in jobs:
            self.admit(job)

    @precondition(lambda self: any(self.running.values()))
    @rule(draws=data())
    def an_attempt_ends(self, draws: DataObject) -> None:
        busy = sorted(name for name in NAMES if self.running[name])
        name = draws.draw(sampled_from(busy))
        self.unwritten.append(self.running[name].pop())
        following = self.lanes.attempt_ended(name)
        if following is not None:
            assert self.may_start(name)
            assert following is self.at_hand[name].pop(0)
            self.running[name].append(following)
        elif self.at_hand[name] and self.may_start(name):
            assert len(self.running[name]) >= self.bound(name)

    @precondition(lambda self: self.unwritten)
    @rule()
    def an_outcome_is_written(self) -> None:
        job = self.unwritten.pop()
        self.lanes.drop(job.integration_id, len(job.event.payload))

    @rule()
    def everything_at_hand_is_given_back(self) -> None:
        self.release(self.lanes.take_unstarted())
        assert not any(self.at_hand.values())

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        everything = [job for name in NAMES for job in self.held(name)]
        assert self.lanes.held == len(everything)
        assert self.lanes.bytes_held == sum(len(job.event.payload) for job in everything)
        assert self.lanes.in_flight() == {n: len(j) for n, j in self.running.items() if j}

    @invariant()
    def bounds_hold(self) -> None:
        assert 0 <= self.lanes.held <= self.lanes.most_held
        assert 0 <= self.lanes.bytes_held <= self.lanes.most_bytes + self.largest_claimed

    @invariant()
    def what_slow_lanes_hold_is_a_part_of_all(self) -> None:
        assert 0 <= self.lanes._capacity.slow.held <= self.lanes.held

    @invariant()
    def what_is_due_now_is_claimed_or_taken_over_or_found_to_be_due_later(self) -> None:
        if self.lanes.schedule.next_due() == 0.0 and not self.lanes.schedule.claimable():
            assert self.lanes.schedule.to_take_over() or self.lanes.schedule.next_due() != 0.0

    def allow(self, name: str, **changes: int | None) -> None:
        self.allowed[name] = replace(self.allowed[name], **changes)
        self.lanes.update_rules([name])

    def most_of(self, name: str) -> int:
        return self.allowed[name].capacity(self.bound(name))

    def bound(self, name: str) -> int:
        """Return how many may be in flight: nothing is told of latencies here."""
        return self.allowed[name].max_in_flight or UNKNOWN_TARGET

    def ahead(self, name: str) -> list[Claimed]:
        reserved = [job for job in self.reserved if job.integration_id == name]
        return self.running[name] + self.at_hand[name] + reserved

    def held(self, name: str) -> list[Claimed]:
        unwritten = [job for job in self.unwritten if job.integration_id == name]
        return self.ahead(name) + unwritten

    def lease(self, name: str) -> None:
        """Hold what is leased, and that none is while the lane holds any in another order."""
        ordered = self.allowed[name].ordered
        assert not self.held(name) or self.leased_in_order[name] is ordered
        self.leased_in_order[name] = ordered

    def may_start(self, name: str) -> bool:
        return not self.held(name) or self.leased_in_order[name] is self.allowed[name].ordered

    def release(self, jobs: list[Claimed]) -> None:
        for job in jobs:
            self.at_hand[job.integration_id].remove(job)
            self.lanes.drop(job.integration_id, len(job.event.payload))

    def admit(self, job: Claimed) -> None:
        name = job.integration_id
        bound = self.bound(name)
        self.at_hand[name].append(job)
        if (first := self.lanes.admit(job)) is not None:
            assert len(self.running[name]) < bound
            assert self.may_start(name)
            assert first is self.at_hand[name].pop(0), "it was overtaken"
            self.running[name].append(first)
        else:
            assert len(self.running[name]) >= bound or not self.may_start(name)


LanesAgainstModel.TestCase.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None
)
TestLanesAgainstModel = LanesAgainstModel.TestCase
