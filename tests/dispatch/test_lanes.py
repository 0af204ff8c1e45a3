import pytest

from hookline.dispatch.lane import LaneRules
from hookline.dispatch.lanes import Lanes
from hookline.queue.port import Claimed, Lane, Waiting
from support.fakes import FakeClock
from support.jobs import a_job, own_tenant

NEVER_CUT = 1_000_000
TWO_AT_A_TIME = LaneRules(max_in_flight=2, ordered=False)
PLACES = TWO_AT_A_TIME.capacity(2)


class Rules(dict[str, LaneRules]):
    """What lanes are allowed; those that look it up learn of changes."""

    def __init__(self) -> None:
        self.lanes: list[Lanes] = []

    def __missing__(self, _name: str) -> LaneRules:
        return TWO_AT_A_TIME

    def __setitem__(self, name: str, rules: LaneRules) -> None:
        super().__setitem__(name, rules)
        for lanes in self.lanes:
            lanes.update_rules([name])


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
def lanes(clock: FakeClock, rules: Rules) -> Lanes:
    made = Lanes(rules.__getitem__, own_tenant, most_held=1000, most_bytes=100_000, clock=clock)
    rules.lanes.append(made)
    return made


def claimed(lanes: Lanes, asked: list[Lane], count: int, *, size: int = 10) -> list[Claimed]:
    """Tell the lanes that a claim of one lane brought so many; return them."""
    jobs = [a_job(asked[0].integration_id, size=size) for _ in range(count)]
    lanes.schedule.claimed(asked, jobs, lanes.schedule.moment(), most_bytes=NEVER_CUT)
    return jobs


def hear_of(lanes: Lanes, name: str) -> None:
    """Have an attempt end, so that the lane is known to answer."""
    assert lanes.reserve(name, 1)
    assert lanes.admit(a_job(name, size=1))
    assert lanes.attempt_ended(name) is None
    lanes.drop(name, 1)


class TestReserving:
    def test_a_lane_takes_what_it_can_hold_and_no_more(self, lanes: Lanes) -> None:
        taken = [lanes.reserve("a", 10) for _ in range(PLACES + 1)]
        assert taken == [True] * PLACES + [False]
        assert (lanes.held, lanes.bytes_held) == (PLACES, PLACES * 10)

    def test_a_backlog_goes_before_what_is_new(self, lanes: Lanes, clock: FakeClock) -> None:
        lanes.schedule.expect("a", due_in=5.0)
        assert lanes.reserve("a", 1)
        clock.now += 5
        assert not lanes.reserve("a", 1)
        assert lanes.reserve("b", 1)

    def test_an_ordered_lane_leaves_everything_to_the_database(
        self, lanes: Lanes, rules: Rules
    ) -> None:
        rules["fifo"] = LaneRules(max_in_flight=2, ordered=True)
        assert not lanes.reserve("fifo", 1)

    def test_a_payload_that_does_not_fit_waits_in_the_database(self, lanes: Lanes) -> None:
        hear_of(lanes, "a")
        hear_of(lanes, "b")
        assert not lanes.reserve("a", 100_001)
        assert lanes.reserve("a", 100_000)
        assert not lanes.reserve("b", 1)
        lanes.drop_reserved("a", 100_000)
        assert lanes.reserve("b", 1)

    def test_lanes_whose_targets_hang_leave_room_for_others(
        self, clock: FakeClock, rules: Rules
    ) -> None:
        lanes = Lanes(rules.__getitem__, own_tenant, most_held=100, most_bytes=100_000, clock=clock)
        for number in range(10):
            while lanes.reserve(f"hangs-{number}", 1):
                pass
            assert lanes.reserve(f"fine-{number}", 1), f"{number + 1} hanging lanes took it all"
            lanes.drop_reserved(f"fine-{number}", 1)
        assert lanes.held <= 100

    def test_large_payloads_of_one_lane_leave_bytes_for_others(self, lanes: Lanes) -> None:
        while lanes.reserve("large", 10_000):
            pass
        assert lanes.bytes_held <= 60_000
        assert lanes.reserve("other", 10_000)


class TestAttempts:
    def test_as_many_start_as_the_integration_allows(self, lanes: Lanes) -> None:
        jobs = [a_job("a") for _ in range(5)]
        for _ in jobs:
            lanes.reserve("a", 10)
        assert [lanes.admit(job) for job in jobs] == [*jobs[:2], None, None, None]
        assert lanes.in_flight() == {"a": 2}
        assert [lanes.attempt_ended("a") for _ in range(5)] == [*jobs[2:], None, None]
        assert lanes.in_flight() == {}

    def test_a_lowered_bound_is_reached_by_ending_and_never_undershot(
        self, lanes: Lanes, rules: Rules
    ) -> None:
        rules["a"] = LaneRules(max_in_flight=4, ordered=False)
        jobs = [a_job("a") for _ in range(8)]
        for job in jobs:
            assert lanes.reserve("a", 10)
            lanes.admit(job)
        rules["a"] = LaneRules(max_in_flight=2, ordered=False)
        next_ones = [lanes.attempt_ended("a") for _ in range(4)]
        assert next_ones == [None, None, *jobs[4:6]]
        assert lanes.in_flight() == {"a": 2}

    def test_what_is_at_hand_can_be_taken_back(self, lanes: Lanes) -> None:
        jobs = [a_job("a") for _ in range(4)]
        for job in jobs:
            lanes.reserve("a", 10)
            lanes.admit(job)
        assert lanes.take_unstarted() == jobs[2:]
        assert lanes.take_unstarted() == []
        assert lanes.attempt_ended("a") is None

    def test_what_was_misplaced_for_a_moment_does_not_stay_at_hand(
        self, lanes: Lanes, rules: Rules
    ) -> None:
        jobs = [a_job("a") for _ in range(4)]
        for job in jobs:
            lanes.reserve("a", 10)
            lanes.admit(job)
        rules["a"] = LaneRules(max_in_flight=2, ordered=True)
        assert [lanes.attempt_ended("a") for _ in range(2)] == [None, None]
        rules["a"] = TWO_AT_A_TIME
        assert lanes.misplaced() == jobs[2:]


class TestClaiming:
    def test_nothing_is_claimed_where_nothing_is_known_to_wait(self, lanes: Lanes) -> None:
        lanes.reserve("a", 1)
        assert lanes.schedule.claimable() == []
        assert lanes.schedule.next_due() is None
        assert not lanes.schedule.expecting

    def test_due_lanes_ask_for_the_places_they_have(self, lanes: Lanes) -> None:
        lanes.schedule.expect("a")
        lanes.schedule.expect("later", due_in=3.0)
        assert lanes.schedule.claimable() == [Lane("a", PLACES)]

    def test_a_lane_asks_again_when_a_quarter_of_it_is_attempted(self, lanes: Lanes) -> None:
        lanes.schedule.expect("a")
        for job in claimed(lanes, lanes.schedule.claimable(), PLACES):
            lanes.admit(job)
        assert lanes.schedule.claimable() == []
        assert lanes.schedule.next_due() is None
        for _ in range(PLACES // 4 - 1):
            lanes.attempt_ended("a")
        assert not lanes.schedule.wants_more("a")
        assert lanes.schedule.claimable() == []
        lanes.attempt_ended("a")
        assert lanes.schedule.wants_more("a")
        assert lanes.schedule.next_due() == 0.0
        assert lanes.schedule.claimable() == [Lane("a", PLACES // 4)]

    def test_what_waits_to_be_written_counts_among_all_that_is_held(
        self, clock: FakeClock, rules: Rules
    ) -> None:
        lanes = Lanes(rules.__getitem__, own_tenant, most_held=4, most_bytes=1_000_000, clock=clock)
        lanes.schedule.expect("a")
        written = 0
        while asked := lanes.schedule.claimable():
            for job in claimed(lanes, asked, asked[0].room):
                lanes.admit(job)
                lanes.attempt_ended("a")
                written += 1
        assert written == lanes.held == 4
        assert not lanes.schedule.wants_more("a")
        lanes.drop("a", 10)
        assert lanes.schedule.wants_more("a")
        assert lanes.schedule.claimable() == [Lane("a", 1)]

    def test_a_lane_wants_more_once_its_rate_allows_it(
        self, lanes: Lanes, rules: Rules, clock: FakeClock
    ) -> None:
        rules["a"] = LaneRules(max_in_flight=2, ordered=False, rate_limit=1.0)
        lanes.schedule.expect("a")
        lanes.not_before("a", 3.0)
        assert not lanes.schedule.wants_more("a")
        clock.now += 3.0
        assert lanes.schedule.wants_more("a")

    def test_a_lane_that_gave_less_than_asked_has_no_more(self, lanes: Lanes) -> None:
        lanes.schedule.expect("a")
        claimed(lanes, lanes.schedule.claimable(), 3)
        assert lanes.schedule.claimable() == []
        assert lanes.held == 3

    def test_a_claim_that_was_cut_at_its_bytes_tells_nothing_of_the_rest(
        self, lanes: Lanes
    ) -> None:
        lanes.schedule.expect("a")
        asked, job = lanes.schedule.claimable(), a_job("a", size=30)
        lanes.schedule.claimed(asked, [job], lanes.schedule.moment(), most_bytes=30)
        assert lanes.admit(job) is job
        assert lanes.schedule.claimable() == [Lane("a", PLACES - 1)]

    def test_what_becomes_due_during_a_claim_is_asked_for_again(self, lanes: Lanes) -> None:
        lanes.schedule.expect("a")
        asked, asked_at = lanes.schedule.claimable(), lanes.schedule.moment()
        lanes.schedule.expect("a")
        lanes.schedule.claimed(asked, [], asked_at, most_bytes=NEVER_CUT)
        assert lanes.schedule.claimable() == [Lane("a", PLACES)]

    def test_a_retry_to_come_does_not_make_an_empty_lane_be_asked_again(self, lanes: Lanes) -> None:
        lanes.schedule.expect("a")
        asked, asked_at = lanes.schedule.claimable(), lanes.schedule.moment()
        lanes.schedule.expect("a", due_in=30.0)
        lanes.schedule.claimed(asked, [], asked_at, most_bytes=NEVER_CUT)
        assert lanes.schedule.claimable() == []

    def test_lanes_are_asked_in_turn_when_places_are_short(
        self, clock: FakeClock, rules: Rules
    ) -> None:
        lanes = Lanes(rules.__getitem__, own_tenant, most_held=2, most_bytes=100_000, clock=clock)
        for name in "abcd":
            hear_of(lanes, name)
            lanes.schedule.expect(name)
        seen = []
        for _ in range(4):
            asked = lanes.schedule.claimable()
            assert sum(each.room for each in asked) == 2
            seen += [each.integration_id for each in asked]
        assert seen == ["a", "b", "c", "d", "a", "b", "c", "d"]

    def test_full_of_bytes_nothing_is_due_and_nothing_spins(self, lanes: Lanes) -> None:
        hear_of(lanes, "a")
        hear_of(lanes, "b")
        lanes.schedule.expect("a")
        size = 100_000 // PLACES + 1
        claimed(lanes, lanes.schedule.claimable(), PLACES, size=size)
        lanes.schedule.expect("b")
        assert lanes.schedule.claimable() == []
        assert lanes.schedule.next_due() is None
        lanes.drop_reserved("a", size)
        assert lanes.schedule.next_due() == 0.0
        assert lanes.schedule.claimable() == [Lane("b", PLACES)]

    def test_the_nearest_due_time_is_told(self, lanes: Lanes) -> None:
        lanes.schedule.expect("a", due_in=30.0)
        lanes.schedule.expect("b", due_in=5.0)
        lanes.schedule.expect("b", due_in=9.0)
        assert lanes.schedule.next_due() == pytest.approx(5.0)


class TestPolling:
    def test_the_database_tells_what_waits(self, lanes: Lanes, clock: FakeClock) -> None:
        lanes.schedule.found([Waiting("a", -1.0), Waiting("b", 4.0)], lanes.schedule.moment())
        assert lanes.schedule.claimable() == [Lane("a", PLACES)]
        clock.now += 4
        assert {each.integration_id for each in lanes.schedule.claimable()} == {"a", "b"}

    def test_what_was_noted_since_the_question_stays(self, lanes: Lanes) -> None:
        asked_at = lanes.schedule.moment()
        lanes.schedule.expect("new")
        lanes.schedule.found([], asked_at)
        assert lanes.schedule.claimable() == [Lane("new", PLACES)]

    def test_a_nearer_note_since_the_question_stays(self, lanes: Lanes) -> None:
        asked_at = lanes.schedule.moment()
        lanes.schedule.expect("a")
        lanes.schedule.found([Waiting("a", 60.0)], asked_at)
        assert lanes.schedule.claimable() == [Lane("a", PLACES)]

    def test_an_old_note_gives_way(self, lanes: Lanes) -> None:
        lanes.schedule.expect("a")
        lanes.schedule.found([], lanes.schedule.moment())
        assert lanes.schedule.claimable() == []
        lanes.schedule.expect("b")
        lanes.schedule.found([Waiting("b", 60.0)], lanes.schedule.moment())
        assert lanes.schedule.next_due() == pytest.approx(60.0)

    def test_a_lane_with_deliveries_in_hand_is_never_forgotten(self, lanes: Lanes) -> None:
        lanes.reserve("a", 10)
        lanes.admit(a_job("a"))
        lanes.schedule.found([], lanes.schedule.moment())
        assert lanes.in_flight() == {"a": 1}
        lanes.attempt_ended("a")
        lanes.drop("a", 10)
        lanes.schedule.found([], lanes.schedule.moment())
        assert (lanes.held, lanes.bytes_held) == (0, 0)

    def test_letting_go_of_what_is_not_held_is_an_error_and_counts_nothing(
        self, lanes: Lanes
    ) -> None:
        with pytest.raises(KeyError):
            lanes.drop("never-seen", 1)
        with pytest.raises(KeyError):
            lanes.drop_reserved("never-seen", 1)
        assert lanes.held == 0
