"""Attempts of a tenant wait for its share of CPU time beside others' events, and alone do not."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from hookline.dispatch import pace
from hookline.dispatch.pace import Pace, Presence
from hookline.domain.access import Tenant
from support.fakes import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

GREEDY, OTHER = Tenant("it_greedy", "000000000001"), Tenant("it_other", None)
MANY = {f"lane {number}": Tenant(f"it_{number}", None) for number in range(30)}
OWNERS = {"one": GREEDY, "two": GREEDY, "other": OTHER} | MANY
AT_ONCE = 7  # attempts in a millisecond of CPU
OF_ALL = 67  # in a hundredth of a second
SAVED = 134  # attempts that begin without waiting for more than their round
LARGE = 1_000_000
STARTED: list[asyncio.Future[None]] = []  # so that nothing forgets them


class Clock(FakeClock):
    """Goes on when told, and calls then what was to be called later."""

    def __init__(self) -> None:
        super().__init__()
        self.later: list[tuple[float, Callable[[], None]]] = []

    async def next_round(self) -> None:
        due = [each for each in self.later if each[0] <= self.now]
        self.later = [each for each in self.later if each not in due]
        for _, call in due:
            call()
        for _ in range(3):
            await asyncio.sleep(0)

    async def go_on(self, seconds: float) -> None:
        end = self.now + seconds
        while due := sorted((each for each in self.later if each[0] <= end), key=lambda e: e[0]):
            self.later.remove(due[0])
            self.now = due[0][0]
            due[0][1]()
        self.now = end
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def begun() -> list[str]:
    return []


@pytest.fixture
async def paced(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Pace:
    made = Pace(OWNERS.__getitem__, clock)
    monkeypatch.setattr(
        pace, "call_later", lambda wait, call: clock.later.append((clock.now + wait, call))
    )
    return made


async def start(paced: Pace, begun: list[str], *lanes: str, size: int = 100) -> None:
    """Have attempts wait for their turn, in this order, and note which begin."""

    async def attempt(number: int, lane: str) -> None:
        await paced.throttle(lane, size)
        begun.append(f"{lane} {number}")

    for number, lane in enumerate(lanes):
        STARTED.append(asyncio.ensure_future(attempt(number, lane)))
    for _ in range(3):
        await asyncio.sleep(0)


async def test_who_is_alone_begins_everything_a_round_of_the_loop_after_the_other(
    paced: Pace, begun: list[str], clock: Clock
) -> None:
    paced.saw([GREEDY])
    await start(paced, begun, *["one", "two"] * 100)
    for rounds in range(1, 4):
        assert len(begun) == min(200, rounds * OF_ALL)
        await clock.next_round()
    assert begun == sorted(begun, key=lambda each: int(each.split()[1])), "in order"
    assert paced.held_back == 0, "for nobody's sake"
    await start(paced, begun, *["two"] * OF_ALL)
    assert len(begun) == 200 + OF_ALL


async def test_however_many_tenants_are_there_they_begin_a_bounded_number_in_turn(
    paced: Pace, begun: list[str], clock: Clock
) -> None:
    paced.saw(MANY.values())
    await start(paced, begun, *[lane for lane in MANY for _ in range(50)])
    for rounds in range(1, 4):
        assert len(begun) == pytest.approx(rounds * OF_ALL, abs=rounds * AT_ONCE)
        await clock.next_round()
    tenants = {lane: sum(each.startswith(f"{lane} ") for each in begun) for lane in MANY}
    assert max(tenants.values()) <= 2 * AT_ONCE, tenants
    assert min(tenants.values()) >= 1, "each has its turn before another has a third"
    await clock.go_on(0.0)
    assert len(begun) == 30 * 50


async def test_at_the_end_everything_begins_in_rounds_as_well(
    paced: Pace, begun: list[str], clock: Clock
) -> None:
    paced.saw([OTHER, GREEDY])
    await start(paced, begun, *["one"] * 1_000)
    await clock.go_on(0.0)
    paced.stop()
    await clock.next_round()
    assert SAVED < len(begun) <= SAVED + 2 * OF_ALL
    await clock.go_on(0.0)
    assert len(begun) == 1_000


async def test_beside_others_a_tenant_begins_a_few_at_a_time_a_quarter_of_a_processors(
    paced: Pace, begun: list[str], clock: Clock
) -> None:
    paced.saw([OTHER, GREEDY])
    await start(paced, begun, *["one", "two"] * 1_000)
    assert len(begun) == AT_ONCE
    await start(paced, begun, "other")
    assert begun.pop() == "other 0", "the other does not wait"
    await clock.go_on(0.0)
    assert len(begun) == SAVED
    assert paced.held_back == 2_000 - AT_ONCE
    await clock.go_on(0.3)
    paced.saw([OTHER, GREEDY])
    await clock.go_on(0.3)
    assert len(begun) == pytest.approx(SAVED + 0.6 * 0.25 / 1.5e-4, rel=0.05)
    assert begun == sorted(begun, key=lambda each: int(each.split()[1])), "in order"


async def test_a_large_payload_is_paid_for_before_the_next_one_begins(
    paced: Pace, begun: list[str], clock: Clock
) -> None:
    paced.saw([OTHER, GREEDY])
    await start(paced, begun, *["one"] * 10, size=LARGE)
    assert len(begun) == 1, "one in a round"
    await clock.go_on(0.0)
    assert len(begun) == 7, "as many as were saved up for"
    await clock.go_on(0.005)
    assert len(begun) == 7
    await clock.go_on(0.01)
    assert len(begun) == 8


async def test_what_an_attempt_took_beyond_a_usual_one_is_waited_for(
    paced: Pace, begun: list[str], clock: Clock
) -> None:
    paced.saw([OTHER, GREEDY])
    paced.charge("one", 0.12)
    await start(paced, begun, "two", "two", "other")
    assert begun == ["other 2"]
    await clock.go_on(0.39)
    assert begun == ["other 2"], "a tenth of a second was not saved up, of which a quarter is back"
    paced.saw([OTHER, GREEDY])
    await clock.go_on(0.02)
    assert len(begun) == 3
    for _ in range(100):
        paced.charge("one", 0.12)
    await start(paced, begun, "two")
    for _ in range(5):
        paced.saw([OTHER, GREEDY])
        assert len(begun) == 3
        await clock.go_on(0.79)
    paced.saw([OTHER, GREEDY])
    await clock.go_on(0.1)
    assert len(begun) == 4, "four seconds at the most"


async def test_what_waits_begins_once_the_others_are_gone_or_the_process_ends(
    paced: Pace, begun: list[str], clock: Clock
) -> None:
    paced.saw([OTHER, GREEDY])
    await start(paced, begun, *["one"] * 5_000)
    paced.saw([OTHER])
    await clock.go_on(1.5)
    assert len(begun) == 5_000
    paced.saw([OTHER, GREEDY])
    await start(paced, begun, *["two"] * 100)
    assert len(begun) < 5_100
    paced.stop()
    await clock.go_on(0.0)
    assert len(begun) == 5_100


def test_who_is_there_in_another_process_counts_for_a_second(clock: Clock) -> None:
    here, there = Presence(clock), Presence(clock)
    there.saw("a")
    there.saw("b")
    here.saw("a")
    assert not here.beside("a")
    here.told(there.lately())
    assert here.beside("a")
    assert here.lately() == ["a"], "what was told is not told on"
    clock.now += 1.0
    assert not here.beside("a")
    assert there.lately() == []
