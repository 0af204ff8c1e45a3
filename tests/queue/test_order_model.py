"""The order of the real queue against a model, whatever several workers do to it, and die of."""

import sys
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from random import Random
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import booleans, integers, lists, sampled_from

from hookline.domain.deliveries import (
    Delivered,
    Failed,
    FailReason,
    Outcome,
    RetryAt,
    SkipReason,
)
from hookline.queue.port import Appended, Claimed, Lane
from hookline.queue.postgres import PostgresQueue
from support.queue_contract import REVISION, a_delivery, an_event, settled
from support.stepwise_store import StepwiseStore

WINDOW = timedelta(hours=48)
LEASE = 600.0  # seconds: leases run out when the database's rows say so, never by waiting
SUBJECTS = ("a", "b")
EVERYTHING = 1_000
DUE_LATER = 5_000.0  # seconds
FAILED, NOW, LATER = Failed(FailReason.REJECTED), RetryAt(0.0), RetryAt(DUE_LATER)
STEPS = [
    *["claim"] * 6,
    *["end"] * 6,
    *["accept", "start", "retry"] * 2,
    *["die", "move", "reorder", "pause", "delete", "hours"],
]
OUTCOMES: list[Outcome] = [Delivered(), Delivered(), Delivered(), FAILED, NOW, LATER]
HOURS_PASS = """
with shifted as (update pending set due_at = due_at - interval '2 hours')
update subjects set due_at = to_timestamp(0)
"""
"""Leases do not run out by that; so of which subject what may go is looked up anew."""
LEASES_RUN_OUT = """
update pending set leased_until = now() - interval '1 second'
where lease = any($1) and leased_until is not null
"""
_numbers = count()


@dataclass(slots=True, eq=False)
class Delivery:
    """One delivery as the model knows it; `place` is that of its acceptance, or before all."""

    id: UUID
    subject: str
    place: tuple[int, UUID]
    later: bool = False  # waits for a retry that is not due
    started: bool = False
    done: bool = False
    lost: bool = False  # its lease ran out, and nobody has freed it yet
    holder: "Worker | None" = None
    running: bool = False
    job: Claimed | None = None

    @property
    def waits(self) -> bool:
        return not self.done and not self.lost and self.holder is None


@dataclass(slots=True, eq=False)
class Integration:
    """One lane: its rules, whose it is, and all that was ever accepted for it."""

    id: str
    ordered: bool
    owner: "Worker"
    ready: bool = False  # was taken over by its owner, as its rules are now
    paused: bool = False
    deliveries: list[Delivery] = field(default_factory=list)

    def of(self, subject: str) -> list[Delivery]:
        return [each for each in self.deliveries if each.subject == subject and not each.done]

    def asked(self, room: int) -> Lane:
        return Lane(self.id, room, self.ordered)


@dataclass(slots=True, eq=False)
class Worker:
    """One process: what it holds of each lane and has not started, oldest first."""

    queue: PostgresQueue
    at_hand: list[tuple[Integration, Delivery]] = field(default_factory=list)
    running: list[tuple[Integration, Delivery]] = field(default_factory=list)

    def holds(self, lane: Integration) -> bool:
        return any(each is lane for each, _ in self.at_hand + self.running)


class OrderAgainstModel(RuleBasedStateMachine):
    """Deliveries of two lanes, by workers that own a lane each in turn."""

    database: StepwiseStore

    @initialize(ordered=lists(booleans(), min_size=2, max_size=2))
    def open(self, ordered: list[bool]) -> None:
        self.database.execute("truncate pending, subjects")
        self.workers = [self._worker() for _ in range(2)]
        self.lanes = [self._lane(each, self.workers[0]) for each in ordered]
        for at in range(2):
            self.accept(self.lanes[at], self.workers[0], ["a", "b", "a", "a"], leased=False)

    @rule(name=sampled_from(STEPS), at=integers(0, 1), by=integers(0, 1), seed=integers(0, 9_999))
    def step(self, name: str, at: int, by: int, seed: int) -> None:
        """Take one step. One rule for all: else an example would leave some of them out."""
        lane, worker = self.lanes[at], self.workers[by]
        draws = Random(seed)  # noqa: S311 - what to do, not a secret
        match name:
            case "accept":
                subjects = draws.choices(SUBJECTS, k=draws.randint(1, 6))
                self.accept(lane, worker, subjects, leased=draws.random() < 0.5)
            case "claim":
                self.claim(lane, draws.choice([1, 2, EVERYTHING]), polled=draws.random() < 0.5)
                self.start(lane, draws.randint(0, 8))
            case "start":
                self.start(lane, draws.randint(1, 8))
            case "end":
                self.end_some(worker, draws)
            case "retry":
                self.retry(lane, draws)
            case "die":
                self.die(worker)
            case "move" | "reorder" | "pause" | "delete":
                self.change(at, worker, name)
            case "hours":
                self.let_hours_pass()

    def _worker(self) -> Worker:
        queue = PostgresQueue(self.database.pool, lease_seconds=LEASE, duplicate_window=WINDOW)
        return Worker(queue)

    def _lane(self, ordered: bool, owner: Worker) -> Integration:  # noqa: FBT001 - the rule's own
        return Integration(f"lane{next(_numbers)}", ordered, owner)

    def accept(
        self, lane: Integration, worker: Worker, subjects: list[str], *, leased: bool
    ) -> None:
        leased = leased and worker is lane.owner and self._may_be_born_leased(lane)
        events = [an_event(subject, number=next(_numbers)) for subject in subjects]
        stored = [
            a_delivery(event, lane.id, leased=leased, ordered=lane.ordered) for event in events
        ]
        result = self.database.run(worker.queue.append(events, stored, revision=REVISION))
        assert isinstance(result, Appended)
        born = leased and lane.id not in result.behind
        for subject, each, event in zip(subjects, stored, events, strict=True):
            delivery = Delivery(each.id, subject, (next(_numbers), each.id))
            lane.deliveries.append(delivery)
            if born:
                job = Claimed(
                    each.id,
                    worker.queue.born_lease,
                    event.id,
                    lane.id,
                    0,
                    1,
                    once=False,
                    revision=REVISION,
                    event=event.event,
                )
                self._hold(worker, lane, delivery, job)
        if born:
            for _ in stored:
                self._start(worker, lane)

    def _may_be_born_leased(self, lane: Integration) -> bool:
        worker = lane.owner
        free = not lane.ordered and lane.ready and not lane.paused
        return free and not any(each is lane for each, _ in worker.at_hand)

    def claim(self, lane: Integration, room: int, *, polled: bool = False) -> None:
        if polled:
            self.poll(lane.owner)
        self.take_over(lane)
        if not lane.ready or lane.paused:
            return
        expected = self._claimable(lane)
        jobs = self.database.run(lane.owner.queue.claim([lane.asked(room)], most_bytes=1_000_000))
        found = [next(d for d in lane.deliveries if d.id == job.id) for job in jobs]
        if room == EVERYTHING:
            assert set(found) == set(expected), "one that may go was left out, or may not go"
        else:
            assert set(found) <= set(expected)
            assert len(found) == min(room, len(expected))
        for delivery, job in zip(found, jobs, strict=True):
            self._hold(lane.owner, lane, delivery, job)

    def _claimable(self, lane: Integration) -> list[Delivery]:
        if not lane.ordered:
            return [each for each in lane.deliveries if each.waits and not each.later]
        heads: list[Delivery] = []
        for subject in SUBJECTS:
            of_subject = sorted(lane.of(subject), key=lambda each: each.place)
            if of_subject and all(each.waits for each in of_subject) and not of_subject[0].later:
                heads.append(of_subject[0])
        return heads

    def start(self, lane: Integration, most: int) -> None:
        at_hand = sum(each is lane for each, _ in lane.owner.at_hand)
        for _ in range(min(most, at_hand)):
            self._start(lane.owner, lane)

    def _start(self, worker: Worker, lane: Integration) -> None:
        first = next(held for held in worker.at_hand if held[0] is lane)
        worker.at_hand.remove(first)
        _, delivery = first
        unfinished = [each for each in lane.deliveries if not each.done and each is not delivery]
        earlier = [each for each in unfinished if each.place < delivery.place]
        if lane.ordered:
            of_subject = [each for each in unfinished if each.subject == delivery.subject]
            assert not any(each.running for each in of_subject), "two of one subject at once"
            before = [each for each in earlier if each.subject == delivery.subject]
            # One that was leased already goes before what is retried by hand after that.
            assert all(each.place[0] < 0 for each in before), "inversion"
        elif not delivery.started:
            assert all(each.started for each in earlier), "a first attempt overtook another"
        delivery.started = delivery.running = True
        worker.running.append((lane, delivery))

    def end_some(self, worker: Worker, draws: Random) -> None:
        for _ in range(min(draws.randint(1, 3), len(worker.running))):
            self.settle(worker, draws.choice(worker.running), draws.choice(OUTCOMES))

    def settle(self, worker: Worker, held: tuple[Integration, Delivery], outcome: Outcome) -> None:
        worker.running.remove(held)
        _, delivery = held
        assert delivery.job is not None
        ending = settled(delivery.job, outcome)
        assert self.database.run(worker.queue.settle([ending])) == {delivery.id}
        delivery.running, delivery.holder = False, None
        delivery.done = not isinstance(outcome, RetryAt)
        delivery.later = outcome == LATER

    def die(self, dead: Worker) -> None:
        held = dead.at_hand + dead.running
        self.database.execute(LEASES_RUN_OUT, [d.job.lease for _, d in held if d.job])
        for _, delivery in held:
            delivery.running, delivery.holder, delivery.lost = False, None, True
        at = self.workers.index(dead)
        self.workers[at] = self._worker()
        for lane in self.lanes:
            if lane.owner is dead:
                lane.owner, lane.ready = self.workers[1 - at], False

    def change(self, at: int, worker: Worker, how: str) -> None:
        """Change a lane's owner or its rules; what has not started is released for that."""
        lane = self.lanes[at]
        self.release(lane)
        if how == "move" and lane.owner is not worker:
            lane.owner, lane.ready = worker, False
        elif how == "reorder":
            lane.ordered, lane.ready = not lane.ordered, False
        elif how == "pause":
            lane.paused = not lane.paused
        elif how == "delete":
            self.delete(lane)
            if not any(each.holds(lane) for each in self.workers):
                self.lanes[at] = self._lane(not lane.ordered, lane.owner)

    def take_over(self, lane: Integration) -> None:
        if lane.ready or lane.owner.holds(lane):
            return
        taken = self.database.run(lane.owner.queue.take_over([lane.asked(0)]))
        others = [each for each in lane.deliveries if each.holder not in (None, lane.owner)]
        assert others or taken or any(each.lost for each in lane.deliveries)
        if not lane.ordered:
            assert not (others and taken), "it was taken while another holds some of it"
        lane.ready = bool(taken)

    def delete(self, lane: Integration) -> None:
        self.poll(lane.owner)
        waiting = [each for each in lane.deliveries if each.waits]
        skip = lane.owner.queue.skip(lane.id, SkipReason.DELETED, limit=EVERYTHING)
        assert self.database.run(skip) == len(waiting)
        for each in waiting:
            each.done = True

    def retry(self, lane: Integration, draws: Random) -> None:
        if not lane.deliveries:
            return
        delivery = draws.choice(lane.deliveries)
        retry = lane.owner.queue.retry(delivery.id, ordered=lane.ordered)
        assert self.database.run(retry)
        if delivery.done:
            delivery.done, delivery.started = False, True
            delivery.place = (-1, delivery.id)
        if delivery.waits:
            delivery.later = False

    def let_hours_pass(self) -> None:
        self.database.execute(HOURS_PASS)
        for lane in self.lanes:
            for each in lane.deliveries:
                each.later = False

    def poll(self, worker: Worker) -> None:
        """Ask what waits, which frees what ran out."""
        named = {each.integration_id for each in self.database.run(worker.queue.waiting())}
        for lane in self.lanes:
            for each in lane.deliveries:
                each.lost = False
            if any(each.waits for each in lane.deliveries):
                assert lane.id in named

    def _hold(self, worker: Worker, lane: Integration, delivery: Delivery, job: Claimed) -> None:
        assert delivery.holder is None
        delivery.holder, delivery.job = worker, job
        worker.at_hand.append((lane, delivery))

    def release(self, lane: Integration) -> None:
        for worker in self.workers:
            mine = [each for of, each in worker.at_hand if of is lane]
            worker.at_hand = [(of, each) for of, each in worker.at_hand if of is not lane]
            self.database.run(worker.queue.release([each.job for each in mine if each.job]))
            for each in mine:
                each.holder = None

    def teardown(self) -> None:
        """Deliver what is left, in order: nothing vanished."""
        if sys.exc_info()[0] is not None:
            return  # a step failed
        for worker in self.workers:
            for held in [*worker.running]:
                self.settle(worker, held, Delivered())
        self.let_hours_pass()
        for lane in self.lanes:
            self.release(lane)
        for lane in self.lanes:
            lane.paused = False
            self.poll(lane.owner)
            while any(not each.done for each in lane.deliveries):
                self.claim(lane, EVERYTHING)
                assert lane.owner.at_hand
                while lane.owner.at_hand:
                    self.start(lane, 1)
                    self.settle(lane.owner, lane.owner.running[0], Delivered())
        left = self.database.run(self.database.pool.fetchval("select count(*) from pending"))
        assert left == 0


def against_model(database: str, *, examples: int, steps: int, always_alike: bool) -> None:
    store = StepwiseStore(database)
    machine = type("Order", (OrderAgainstModel,), {"database": store})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=always_alike,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=[*HealthCheck],
            ),
        )
    finally:
        store.close()


def test_order_holds_whatever_workers_do(database: str) -> None:
    against_model(database, examples=120, steps=50, always_alike=True)


@pytest.mark.soak
@pytest.mark.timeout(3600)  # seconds: 240,000 steps, each a statement or more
def test_order_holds_for_long(database: str) -> None:
    against_model(database, examples=3_000, steps=80, always_alike=False)
