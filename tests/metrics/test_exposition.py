"""The metrics of the service's real parts, after real events to real receivers."""

import pytest

from hookline.api.dependencies import Services
from hookline.domain.catalogue import load_catalogue
from hookline.errors import Overloaded
from hookline.metrics import exposition as scraping
from hookline.metrics.definitions import FAMILIES
from support.engines import (
    ADMIN,
    Bench,
    an_integration,
    change,
    send,
    until_state,
)
from support.scraping import Scraped, scrape
from support.service import eventually
from support.targets import Targets


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the database asked at every scrape, not once a second."""
    monkeypatch.setattr(scraping, "_FRESH", 0.0)


async def until_states(services: Services, **expected: int) -> Scraped:
    """Wait until integrations are in these states, as the metrics have it."""
    return await eventually(
        lambda: scrape(services),
        lambda seen: (
            {k: v for k, v in seen.labelled("hookline_integrations", "state").items() if v}
            == expected
        ),
    )


async def test_every_event_and_attempt_is_counted_once(bench: Bench, receivers: Targets) -> None:
    receivers.modes |= {"refusing": 404, "broken": 503}
    async with bench.running(retry_delays="0.05") as services:
        for name in ("well", "refusing", "broken"):
            await an_integration(services, receivers.url(name))
        before = await scrape(services)
        assert before.positive("hookline_events_total") == {}
        await send(services, 1, 2, 3, 3)
        await send(services, 1)
        await bench.until_settled()
        seen = await scrape(services)

    assert seen.positive("hookline_events_total") == {("accepted",): 3, ("duplicate",): 2}
    assert seen.value("hookline_deliveries_created_total") == 9
    assert seen.positive("hookline_deliveries_settled_total") == {
        ("none", "delivered"): 3,
        ("rejected", "failed"): 3,
        ("exhausted", "failed"): 3,
    }
    assert seen.positive("hookline_attempts_total") == {
        ("delivered", "WEBHOOK"): 3,
        ("retry", "WEBHOOK"): 3,
        ("failed", "WEBHOOK"): 6,
    }
    assert seen.positive("hookline_attempt_errors_total") == {("status", "WEBHOOK"): 9}
    durations = "hookline_attempt_duration_seconds"
    assert seen.value(f"{durations}_count", transmission="WEBHOOK") == 12
    assert seen.value(f"{durations}_bucket", transmission="WEBHOOK", le="+Inf") == 12
    assert 0 < seen.value(f"{durations}_sum", transmission="WEBHOOK") < 60
    assert seen.value("hookline_first_attempt_delay_seconds_count") == 9, "first attempts alone"
    assert seen.value("hookline_settlements_fenced_total") == 0
    assert seen.value("hookline_attempts_in_flight") == 0
    assert seen.value("hookline_deliveries_leased") == 0
    for (name, labels), value in before.series.items():
        if FAMILIES.get(name) is not None and name.endswith("_total"):
            assert seen.series[name, labels] >= value


async def test_what_runs_now_is_seen_while_it_runs(bench: Bench, receivers: Targets) -> None:
    receivers.modes["slow"] = "hang"
    async with bench.running(max_in_flight=256) as services:
        await an_integration(services, receivers.url("slow"), maxInFlight=4)
        await send(services, *range(10))
        await receivers.until(lambda seen: seen.open["slow"] == 4)
        seen = await scrape(services)
        assert seen.value("hookline_attempts_in_flight") == 4
        assert 4 <= seen.value("hookline_deliveries_leased") <= 10
        assert seen.value("hookline_deliveries_leased_limit") == 256
        pending = await eventually(
            lambda: scrape(services),
            lambda seen: seen.value("hookline_deliveries_pending") == 10,
        )
        assert pending.value("hookline_deliveries_pending_limit") == 5_000_000
        assert seen.value("hookline_engines_running") == seen.value("hookline_processes") == 1


async def test_the_states_of_integrations_and_how_they_came_to_be(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes |= {"down": 503, "gone": 410}
    async with bench.running() as services:
        await an_integration(services, receivers.url("well"))
        off = await an_integration(services, receivers.url("well"))
        await until_states(services, healthy=2)
        await change(services, off, enabled=False)
        gone = await an_integration(services, receivers.url("gone"))
        await send(services, 1)
        await until_state(services, gone, "disabled")
        down = await an_integration(services, receivers.url("down"))
        await bench.until_paused(services, down)
        seen = await until_states(services, healthy=1, paused=1, disabled=2)
        assert seen.value("hookline_database_up") == 1
        await eventually(
            lambda: scrape(services), lambda seen: seen.value("hookline_lanes_paused") == 1
        )
        assert seen.positive("hookline_health_changes_total") == {
            ("disabled",): 1,  # the one switched off by hand was no change of Hookline's
            ("failing",): 1,
            ("paused",): 1,
        }
        await change(services, down, enabled=False)
        await change(services, off, enabled=True)
        await until_states(services, healthy=2, disabled=2)
        await services.integrations.delete(ADMIN, gone, None)
        await until_states(services, healthy=2, disabled=1)


async def test_a_recovery_is_counted(bench: Bench, receivers: Targets) -> None:
    receivers.modes["down"] = 503
    async with bench.running(probe_interval=0.2) as services:
        down = await an_integration(services, receivers.url("down"))
        await bench.until_paused(services, down)
        receivers.modes["down"] = 200
        await send(services, 1)
        await until_state(services, down, "healthy")
        seen = await scrape(services)
        assert seen.value("hookline_health_changes_total", state="healthy") == 1


async def test_what_waits_for_a_deleted_integration_is_counted_as_skipped(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes["slow"] = "hang"
    async with bench.running(delivery_timeout=0.3, retry_delays="60") as services:
        slow = await an_integration(services, receivers.url("slow"), maxInFlight=1)
        await send(services, *range(20))
        await receivers.until(lambda seen: seen.open["slow"] == 1)
        await services.integrations.delete(ADMIN, slow, None)
        await bench.until_settled()
        seen = await eventually(
            lambda: scrape(services),
            lambda seen: sum(seen.positive("hookline_deliveries_settled_total").values()) == 20,
        )
        assert seen.positive("hookline_deliveries_settled_total") == {("deleted", "skipped"): 20}
        assert seen.value("hookline_attempts_total", transmission="unknown", outcome="failed") == 1


async def test_events_that_are_refused_for_now_are_told_by_reason(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes["slow"] = "hang"
    async with bench.running(max_pending=1) as services:
        await an_integration(services, receivers.url("slow"))
        await send(services, 1)
        with pytest.raises(Overloaded):
            await send(services, 2, 3)
        seen = await scrape(services)
        assert seen.positive("hookline_events_refused_total") == {("backlog",): 2}
        assert seen.value("hookline_deliveries_pending") == 1


async def test_without_an_engine_the_states_are_known_all_the_same(
    bench: Bench, receivers: Targets
) -> None:
    async with bench.running() as delivering, bench.taking() as taking:
        await an_integration(taking, receivers.url("well"))
        await until_states(taking, healthy=1)
        await send(taking, 1, 2)
        await bench.until_settled()
        took, delivered = await scrape(taking), await scrape(delivering)
        assert took.value("hookline_events_total", result="accepted") == 2
        assert "hookline_engines_running" not in took.kinds
        assert took.positive("hookline_attempts_total") == {}
        assert delivered.positive("hookline_attempts_total") == {("delivered", "WEBHOOK"): 2}
        assert delivered.positive("hookline_events_total") == {}


async def test_nothing_says_whose_a_number_is(bench: Bench, receivers: Targets) -> None:
    receivers.modes["secret-path"] = 503
    async with bench.running() as services:
        found = await an_integration(services, receivers.url("secret-path"), name="Confidential")
        [event] = await send(services, 1, company="it_marked", pbx="marked000001")
        await bench.until_paused(services, found)
        text = (await scrape(services)).text

    kinds = [kind.name for kind in load_catalogue().types]
    marks = [found, str(event), "secret-path", "127.0.0.1", "http", "Confidential", "marked", "hk_"]
    assert [each for each in (*marks, *kinds) if each in text] == []


async def test_every_series_is_there_from_the_start_and_no_other_comes(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes |= {"down": 503, "odd": 404}
    async with bench.running() as services:
        first = await eventually(
            lambda: scrape(services), lambda seen: seen.value("hookline_database_up") == 1
        )
        for name in ("odd", "well"):
            await an_integration(services, receivers.url(name))
        await bench.until_paused(services, await an_integration(services, receivers.url("down")))
        last = await until_states(services, healthy=1, failing=1, paused=1)

    assert set(last.series) == set(first.series)
    ours = {name for name in first.kinds if name.startswith("hookline_")}
    assert ours == {name.removesuffix("_total") for name in FAMILIES}
    assert len([name for name, _ in first.series if name.startswith("hookline_")]) < 200
