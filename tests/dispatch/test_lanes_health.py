from collections.abc import Callable

from hookline.dispatch.lane import LaneRules
from hookline.dispatch.lanes import Lanes
from hookline.domain.access import Tenant
from hookline.domain.ids import new_uuid
from hookline.queue.port import Claimed, Lane, Waiting
from support.fakes import FakeClock
from support.jobs import own_tenant
from support.queue_contract import an_event

PLENTY = 1_000_000
WIDE = LaneRules(max_in_flight=8, ordered=False)
PAUSED = LaneRules(max_in_flight=8, ordered=False, paused=True)
WIDEST = WIDE.capacity(8)  # what its lane holds at the most, at hand and in flight
LIMITED = LaneRules(max_in_flight=8, ordered=False, rate_limit=5.0)


def lanes_of(rules: Callable[[str], LaneRules], *, most_held: int = 1024) -> Lanes:
    return Lanes(
        rules, own_tenant, most_held=most_held, most_bytes=PLENTY * 1_000, clock=FakeClock()
    )


def a_job(to: str) -> Claimed:
    return Claimed(
        id=new_uuid(),
        lease=1,
        event_id=new_uuid(),
        integration_id=to,
        attempts=0,
        claims=1,
        once=False,
        revision=1,
        event=an_event().event,
    )


def claimed(lanes: Lanes, to: str, count: int) -> list[Claimed]:
    """Have so many deliveries claimed and admitted; return those that start."""
    jobs = [a_job(to) for _ in range(count)]
    lanes.schedule.claimed([Lane(to, count + 1)], jobs, lanes.schedule.moment(), most_bytes=PLENTY)
    return [job for job in jobs if lanes.admit(job)]


def ended(lanes: Lanes, job: Claimed) -> Claimed | None:
    """End one attempt and have its outcome written."""
    following = lanes.attempt_ended(job.integration_id)
    lanes.drop(job.integration_id, len(job.event.payload))
    return following


def hear_of(lanes: Lanes, *names: str) -> None:
    """Have one attempt of each lane end, so that it is known to answer."""
    for name in names:
        assert lanes.reserve(name, 1)
        job = a_job(name)
        assert lanes.admit(job)
        assert lanes.attempt_ended(name) is None
        lanes.drop(name, 1)


def dropped(lanes: Lanes, jobs: list[Claimed]) -> int:
    for job in jobs:
        lanes.drop(job.integration_id, len(job.event.payload))
    return len(jobs)


def asked(lanes: Lanes) -> dict[str, int]:
    return {lane.integration_id: lane.room for lane in lanes.schedule.claimable()}


def test_a_target_that_hangs_soon_holds_one_place() -> None:
    lanes = lanes_of(lambda _: WIDE)
    started = claimed(lanes, "hangs1", WIDEST)
    assert (len(started), lanes.held) == (8, WIDEST)
    while len(started) > 1:
        following = []
        for job in started:
            dropped(lanes, lanes.slow_down("hangs1"))
            if (successor := ended(lanes, job)) is not None:
                following.append(successor)
        started = following
    assert lanes.in_flight() == {"hangs1": 1}
    assert lanes.held <= WIDE.capacity(1)


def test_what_a_narrowed_lane_holds_too_much_is_given_back_newest_first() -> None:
    lanes = lanes_of(lambda _: WIDE)
    claimed(lanes, "slow01", WIDEST)
    surplus = lanes.slow_down("slow01")
    assert dropped(lanes, surplus) == len(surplus) == WIDEST // 2
    assert lanes.held == lanes._capacity.slow.held == WIDEST // 2


def test_successes_widen_it_until_all_of_it_is_open() -> None:
    lanes = lanes_of(lambda _: WIDE)
    hear_of(lanes, "comes1")
    [*_, last] = claimed(lanes, "comes1", 8)
    lanes.slow_down("comes1")
    assert lanes._capacity.slow.held == 8
    for _ in range(40):
        lanes.speed_up("comes1", 1)
    assert (lanes._capacity.slow.held, lanes.held) == (0, 8)
    assert ended(lanes, last) is None


def test_lanes_that_struggle_share_one_half_whatever_their_number() -> None:
    lanes = lanes_of(lambda _: WIDE, most_held=64)
    hear_of(lanes, "well01", "well02")
    for number in range(200):
        [job] = claimed(lanes, f"hang{number}", 1)
        lanes.slow_down(job.integration_id)
        ended(lanes, job)
        lanes.schedule.expect(job.integration_id)
    for name, room in asked(lanes).items():
        claimed(lanes, name, room)
    assert lanes.held == lanes._capacity.slow.held == 32
    assert asked(lanes) == {}
    assert not lanes.reserve("never1", 1), "nothing was ever heard of it: it waits for its half"
    assert lanes.reserve("well01", 1)
    lanes.schedule.expect("well02")
    assert "well02" in asked(lanes)


def test_a_tenant_whose_targets_hang_leaves_bytes_to_others() -> None:
    owners = {"its": Tenant("greedy", "1"), "sib": Tenant("greedy", "2")}
    lanes = Lanes(
        lambda _: WIDE,
        lambda name: owners.get(name[:3], Tenant(name, None)),
        most_held=10_000,
        most_bytes=64,
        clock=FakeClock(),
    )
    hear_of(lanes, "well01")
    for number in range(200):
        while lanes.reserve(f"its{number}", 1):
            pass
        lanes.schedule.expect(f"its{number}")
    assert lanes.held == 18, "three quarters of its company's three quarters of 32 bytes"
    assert asked(lanes) == {}
    assert lanes.schedule.next_due() is None
    assert lanes.reserve("sib0", 1), "another PBX of the company has bytes"
    assert lanes.reserve("new0", 5)
    assert lanes.reserve("well01", 10), "and the other half is for targets that answer"


def test_lanes_whose_targets_say_nothing_share_one_half_before_they_time_out() -> None:
    lanes = lanes_of(lambda _: WIDE, most_held=64)
    hear_of(lanes, "well01")
    hanging = [f"hang{number}" for number in range(200)]
    for name in hanging:
        lanes.schedule.expect(name)
    while requests := asked(lanes):
        for name, room in requests.items():
            claimed(lanes, name, room)
    assert lanes.held == lanes._capacity.slow.held == 32
    assert lanes.reserve("well01", 1), "there is always room for a target that answers"


def test_a_tenant_whose_targets_hang_leaves_places_to_its_company_and_to_others() -> None:
    owners = {"its": Tenant("greedy", "1"), "sib": Tenant("greedy", "2")}
    lanes = Lanes(
        lambda _: WIDE,
        lambda name: owners.get(name[:3], Tenant(name, None)),
        most_held=64,
        most_bytes=PLENTY,
        clock=FakeClock(),
    )
    for number in range(200):
        while lanes.reserve(f"its{number}", 1):
            pass
        lanes.schedule.expect(f"late{number}")
        lanes.schedule.expect(f"its{number}")
    assert lanes._capacity.slow.held == 18, "three quarters of its company's three quarters of 32"
    requests = asked(lanes)
    assert [name for name in requests if name.startswith("its")] == []
    assert sum(requests.values()) <= 32 - 18
    assert lanes._capacity.slow.held == 18, "to ask is not to hold"
    assert lanes.reserve("sib0", 1), "another PBX of the company has places"
    for number in range(8):
        assert lanes.reserve(f"new{number}", 1), "each other company has one at least"


def test_a_lane_counts_for_whose_it_is_once_that_is_known() -> None:
    owners = dict.fromkeys("abcdefgh", Tenant(None, None))
    lanes = Lanes(lambda _: WIDE, owners.__getitem__, most_held=16, most_bytes=PLENTY)
    taken = [name for name in owners if lanes.reserve(name, 1)]
    assert taken == list("abcdef"), "nobody's integrations share what nobody's may hold"
    owners |= dict.fromkeys("abcde", Tenant("known", None))
    lanes.schedule.found([], lanes.schedule.moment())
    assert lanes.reserve("g", 1)
    assert lanes._capacity.slow.held == 7


def test_a_target_that_falls_silent_is_slow_from_then_on() -> None:
    clock = FakeClock()
    lanes = Lanes(lambda _: WIDE, own_tenant, most_held=64, most_bytes=PLENTY, clock=clock)
    hear_of(lanes, "quiet1")
    claimed(lanes, "quiet1", 2)
    clock.now += 0.4
    assert lanes.reserve("quiet1", 1)
    assert lanes._capacity.slow.held == 0, "a moment is nothing to mind"
    clock.now += 0.2
    assert lanes.reserve("quiet1", 1)
    assert lanes._capacity.slow.held == 4


def test_answers_are_remembered_for_minutes_of_quiet() -> None:
    clock = FakeClock()
    lanes = Lanes(lambda _: WIDE, own_tenant, most_held=64, most_bytes=PLENTY, clock=clock)
    hear_of(lanes, "seldom")
    for wait, slow in ((300.0, 0), (400.0, 1)):
        clock.now += wait
        lanes.schedule.found([], lanes.schedule.moment())
        assert lanes.reserve("seldom", 1)
        assert lanes._capacity.slow.held == slow
        lanes.drop("seldom", 1)


def test_an_answer_makes_a_silent_lane_like_any_other() -> None:
    clock = FakeClock()
    lanes = Lanes(lambda _: WIDE, own_tenant, most_held=64, most_bytes=PLENTY, clock=clock)
    first, second = claimed(lanes, "quiet1", 2)
    clock.now += 1.0
    lanes.schedule.expect("quiet1")
    assert asked(lanes)
    assert lanes._capacity.slow.held == 2
    assert ended(lanes, first) is None
    assert lanes._capacity.slow.held == 0
    assert ended(lanes, second) is None
    assert (lanes.held, lanes._capacity.slow.held) == (0, 0)


def test_lanes_that_do_well_leave_their_half_to_those_that_struggle() -> None:
    lanes = lanes_of(lambda _: WIDE, most_held=64)
    busy = [f"busy{number}" for number in range(300)]
    hear_of(lanes, *busy)
    for name in busy:
        lanes.reserve(name, 1)
    assert 32 < lanes.held <= 64
    assert lanes._capacity.slow.held == 0


def test_a_paused_lane_is_neither_reserved_nor_claimed_for() -> None:
    lanes = lanes_of(lambda _: PAUSED)
    lanes.schedule.expect("paused")
    assert not lanes.reserve("paused", 1)
    assert asked(lanes) == {}
    assert lanes.schedule.next_due() is None, "nobody wakes up for what may not go"


def test_a_probe_is_one_delivery_and_one_alone() -> None:
    lanes = lanes_of(lambda _: PAUSED)
    lanes.schedule.found([Waiting("paused", -1.0)], lanes.schedule.moment())
    assert lanes.schedule.with_work_due(["paused", "others"]) == ["paused"]
    lanes.allow_probe("paused")
    assert asked(lanes) == {"paused": 1}
    [probe] = claimed(lanes, "paused", 1)
    assert asked(lanes) == {}
    assert claimed(lanes, "paused", 1) == [], "what was claimed before the pause waits at hand"
    assert ended(lanes, probe) is None


def test_a_probe_that_finds_nothing_is_not_kept_for_later() -> None:
    lanes = lanes_of(lambda _: PAUSED)
    lanes.schedule.expect("paused")
    lanes.allow_probe("paused")
    request = lanes.schedule.claimable()
    lanes.schedule.claimed(request, [], lanes.schedule.moment(), most_bytes=PLENTY)
    lanes.schedule.expect("paused")
    assert asked(lanes) == {}


def test_what_a_paused_lane_holds_is_released_and_it_begins_anew_from_one() -> None:
    rules = {"target": WIDE}
    lanes = lanes_of(lambda name: rules[name])
    started = claimed(lanes, "target", WIDEST)
    rules["target"] = PAUSED
    lanes.update_rules()
    assert dropped(lanes, lanes.reset(["target", "unknown"])) == WIDEST - 8
    for job in started:
        assert ended(lanes, job) is None
    rules["target"] = WIDE
    lanes.update_rules()
    lanes.schedule.expect("target")
    assert asked(lanes) == {"target": WIDE.capacity(1)}
    assert len(claimed(lanes, "target", 4)) == 1


def test_a_paused_lane_is_forgotten_once_nothing_waits_for_it() -> None:
    lanes = lanes_of(lambda _: PAUSED)
    lanes.schedule.expect("paused")
    lanes.schedule.found([], lanes.schedule.moment())
    assert lanes.schedule.with_work_due(["paused"]) == []
    assert not lanes.schedule.expecting


def test_a_limited_lane_holds_what_it_may_start_and_waits_for_its_turn() -> None:
    lanes = lanes_of(lambda _: LIMITED)
    assert not lanes.reserve("limit1", 1)
    lanes.schedule.expect("limit1")
    [request] = lanes.schedule.claimable()
    assert (request.room, request.rate_limit) == (8, 5.0)
    lanes.not_before("limit1", 0.2)
    assert lanes.schedule.claimable() == []
    wait = lanes.schedule.next_due()
    assert wait is not None
    assert round(wait, 6) == 0.2


def test_lanes_with_work_are_asked_for_in_turn() -> None:
    """A large tenant's thousand lanes come first once, and behind the small one's from then on."""
    lanes = lanes_of(lambda _: WIDE, most_held=8)
    names = [f"large{number}" for number in range(20)] + ["small1"]
    hear_of(lanes, *names)
    for name in names:
        lanes.schedule.expect(name)
    turns: list[str] = []
    for _ in names:
        requests = lanes.schedule.claimable()
        turns += [request.integration_id for request in requests]
        jobs = [a_job(request.integration_id) for request in requests]
        lanes.schedule.claimed(requests, jobs, 0.0, most_bytes=PLENTY)
        for job in jobs:
            assert lanes.admit(job)
            ended(lanes, job)
            lanes.schedule.expect(job.integration_id)
    assert set(turns[: len(names)]) == set(names), "nobody had two turns before everybody had one"
