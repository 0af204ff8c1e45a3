"""One target never delays another: told by counts, with the real engine and real receivers."""

import asyncio
import time

import pytest

from hookline.api.dependencies import Services
from hookline.errors import Overloaded
from support.engines import Bench, an_integration, change, send
from support.service import eventually
from support.targets import Targets

HANGING, WELL, EVENTS = 40, 40, 12


async def test_while_half_of_the_targets_hang_the_others_get_everything(
    bench: Bench, receivers: Targets
) -> None:
    """Forty hanging lanes could hold 2,560 deliveries, and the process may hold 256 in all."""
    hanging = [f"hang{number}" for number in range(HANGING)]
    well = [f"well{number}" for number in range(WELL)]
    receivers.modes |= dict.fromkeys(hanging, "hang")
    async with bench.running(max_in_flight=256) as services:
        for name in hanging + well:
            await an_integration(services, receivers.url(name))
        for number in range(EVENTS):
            await send(services, number)
        await receivers.until(lambda seen: all(seen.answered[n] == EVENTS for n in well))
        assert sum(receivers.answered[name] for name in hanging) == 0
        stuck = sum(receivers.open[name] for name in hanging)
        assert HANGING <= stuck <= 256, "each of them has a place, and none has all"


async def test_a_target_that_times_out_soon_holds_one_place(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes["hang"] = "hang"
    quick = {"delivery_timeout": 0.2, "pause_after": 1_000, "retry_delays": "0.05,0.05,0.05"}
    async with bench.running(**quick) as services:
        await an_integration(services, receivers.url("hang"), maxInFlight=16)
        await send(services, *range(200))
        await receivers.until(lambda seen: seen.peak["hang"] > 2)  # it began with more than one
        await receivers.until(lambda seen: seen.arrived("hang") > 40)
        receivers.peak.clear()
        seen_before = receivers.arrived("hang")
        await receivers.until(lambda seen: seen.arrived("hang") > seen_before + 4)
        assert receivers.peak["hang"] <= 2, "one, and the next may come before the last is gone"


async def test_one_with_a_large_backlog_and_most_of_the_traffic_delays_nobody(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes["flood"] = "hang"
    async with bench.running() as services:
        await an_integration(services, receivers.url("flood"), maxInFlight=1)
        await send(services, *range(3_000))
        for number in range(5):
            await an_integration(services, receivers.url(f"small{number}"))
        await send(services, *range(5_000, 5_020))
        await receivers.until(
            lambda seen: all(seen.answered[f"small{number}"] == 20 for number in range(5))
        )
        assert receivers.answered["flood"] == 0
        assert receivers.open["flood"] == 1
        await eventually(
            lambda: bench.ask("select count(*) from pending"), lambda rows: rows == [(3_020,)]
        )


async def test_a_rate_is_kept_by_two_processes_together_and_waiting_costs_no_attempt(
    bench: Bench, receivers: Targets
) -> None:
    async with bench.running() as one, bench.running() as other:
        limited = await an_integration(one, receivers.url("limited"), rateLimit=20)
        began = time.monotonic()
        await asyncio.gather(send(one, *range(15)), send(other, *range(100, 115)))
        await receivers.until(lambda seen: seen.answered["limited"] == 30)
        assert time.monotonic() - began >= (30 - 2) / 20, "sooner would be faster than the rate"
        await bench.until_settled()
        assert await bench.outcomes(limited) == [("delivered", None, 1, 30)]


async def test_a_limit_that_is_taken_away_lets_everything_go(
    bench: Bench, receivers: Targets
) -> None:
    async with bench.running() as services:
        limited = await an_integration(services, receivers.url("limited"), rateLimit=0.1)
        await send(services, *range(20))
        await receivers.until(lambda seen: seen.arrived("limited") == 1)
        await change(services, limited, rateLimit=None)
        await receivers.until(lambda seen: seen.answered["limited"] == 20)


async def test_a_target_that_is_back_is_not_stampeded(bench: Bench, receivers: Targets) -> None:
    await comes_back(bench, receivers, waiting=2_000)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
async def test_a_target_that_is_back_with_a_hundred_thousand_waiting_is_not_stampeded(
    bench: Bench, receivers: Targets
) -> None:
    await comes_back(bench, receivers, waiting=100_000)


async def comes_back(bench: Bench, receivers: Targets, *, waiting: int) -> None:
    receivers.modes["back"] = 503
    async with bench.running(probe_interval=0.3) as services:
        back = await an_integration(services, receivers.url("back"), maxInFlight=6)
        await bench.until_paused(services, back)
        for start in range(0, waiting, 500):
            await send(services, *range(start, start + 500))
        receivers.peak.clear()
        refused = receivers.arrived("back")
        receivers.modes["back"] = 200
        await bench.until_settled(within=60 + waiting / 100)
        assert receivers.peak["back"] <= 6
        assert await bench.ended_as(back, "failed") <= refused, "waiting cost no attempt"
        assert await bench.ended_as(back, "delivered") == receivers.arrived("back") - refused


async def test_two_processes_together_do_not_stampede_a_target_that_is_back(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes["back"] = 503
    async with bench.running(probe_interval=0.3) as one, bench.running(probe_interval=0.3) as other:
        back = await an_integration(one, receivers.url("back"), maxInFlight=6)
        await bench.until_paused(one, back)
        for start in range(0, 1_000, 500):
            await send(other, *range(start, start + 500))
        receivers.peak.clear()
        receivers.modes["back"] = 200
        await bench.until_settled()
        assert receivers.peak["back"] <= 6


async def sent_until_refused(services: Services) -> int:
    """Send events, fifty at a time, until they are not taken; return how many were."""
    for start in range(0, 100_000, 50):
        try:
            await send(services, *range(start, start + 50))
        except Overloaded:
            return start
    raise AssertionError("nobody ever pushed back")


async def test_a_full_backlog_pushes_back_and_what_was_accepted_is_delivered(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes["slow"] = "hang"
    async with bench.running(max_pending=300, delivery_timeout=0.3) as services:
        slow = await an_integration(services, receivers.url("slow"))
        accepted = await sent_until_refused(services)
        assert 250 <= accepted <= 1_000, "fifty may count twice: by the store, and when answered"
        receivers.modes["slow"] = 200
        await change(services, slow, enabled=True)
        await bench.until_settled()
        ended = sum([await bench.ended_as(slow, each) for each in ("delivered", "failed")])
        assert ended == accepted, "nothing that was accepted is lost"

        async def goes_in_again() -> bool:
            try:
                await send(services, 999_999_999)
            except Overloaded:
                return False
            return True

        await eventually(goes_in_again, bool)
