"""Integrations whose targets are down, with the real engine and real receivers."""

import json

from support.engines import (
    Bench,
    an_integration,
    change,
    health_of,
    send,
    until_state,
)
from support.service import eventually
from support.targets import Targets


def told(receivers: Targets, name: str = "watcher") -> list[tuple[str, dict[str, object]]]:
    """Return the service events that a target got: type and content."""
    events = [json.loads(body) for body in receivers.bodies[name]]
    return [(event["type"], event["data"]) for event in events]


async def test_what_is_down_is_paused_and_costs_no_more_attempts(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes["down"] = 503
    async with bench.running() as services:
        down = await an_integration(services, receivers.url("down"))
        health = await bench.until_paused(services, down)
        assert health.last_error == "status"
        assert health.next_probe_at is not None
        await eventually(lambda: bench.outcomes(down), lambda rows: rows != [])
        before = receivers.arrived("down")
        await send(services, *range(100, 150))
        well = await an_integration(services, receivers.url("well"))
        await send(services, *range(200, 220))
        await receivers.until(lambda seen: seen.answered["well"] == 20)
        assert receivers.arrived("down") == before
        [(attempts,)] = await bench.ask(
            "select coalesce(sum(attempts), 0) from pending where integration_id = $1", down
        )
        assert attempts == 0
        assert (await health_of(services, well)).state == "healthy"


async def test_one_probe_brings_it_back_and_the_backlog_flows_as_allowed(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes["down"] = 503
    async with bench.running(probe_interval=0.3, max_in_flight=256) as services:
        down = await an_integration(services, receivers.url("down"), maxInFlight=4)
        await bench.until_paused(services, down)
        await send(services, *range(1_000, 1_300))
        receivers.peak.clear()
        refused = receivers.arrived("down")
        receivers.modes["down"] = 200
        await bench.until_settled()
        assert (await until_state(services, down, "healthy")).failing_since is None
        assert await bench.ended_as(down, "failed") <= refused, "waiting cost no attempt"
        assert await bench.ended_as(down, "delivered") == receivers.arrived("down") - refused
        assert receivers.peak["down"] <= 4


async def test_probes_of_two_processes_go_one_at_a_time(bench: Bench, receivers: Targets) -> None:
    receivers.modes["down"] = 503
    quick = {"probe_interval": 0.2, "max_probe_interval": 0.4, "retry_delays": "60,60,60"}
    async with bench.running(**quick) as one, bench.running(**quick) as other:
        down = await an_integration(one, receivers.url("down"))
        await send(other, *range(3))
        await bench.until_paused(one, down)
        await send(one, *range(100, 120))

        async def probes() -> int:
            [(count,)] = await bench.ask("select probes from integration_health")
            assert isinstance(count, int)
            return count

        await eventually(probes, lambda count: count >= 3)
        before, count = receivers.arrived("down"), await probes()
        await eventually(probes, lambda later: later >= count + 4)
        after = receivers.arrived("down")
        assert after - before <= await probes() - count + 1


async def test_a_pause_is_known_to_a_process_that_starts_later(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes["down"] = 503
    async with bench.running() as services:
        down = await an_integration(services, receivers.url("down"))
        await bench.until_paused(services, down)
    before = receivers.arrived("down")
    async with bench.running() as services:
        await send(services, *range(10, 20))
        await an_integration(services, receivers.url("well"))
        await send(services, 30)
        await receivers.until(lambda seen: seen.answered["well"] == 1)
        assert receivers.arrived("down") == before
        await change(services, down, enabled=True)
        await receivers.until(lambda seen: seen.arrived("down") > before)


async def test_a_target_that_answers_404_fails_at_once_and_is_not_paused(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes["lost"] = 404
    async with bench.running() as services:
        lost = await an_integration(services, receivers.url("lost"))
        await send(services, *range(30))
        await bench.until_settled()
        assert (await until_state(services, lost, "failing")).last_error == "status"
        assert await bench.outcomes(lost) == [("failed", "rejected", 1, 30)]


async def test_days_without_a_delivery_disable_and_end_what_waits_as_skipped(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes["down"] = 503
    async with bench.running(auto_disable_days=5, probe_interval=0.1) as services:
        await an_integration(services, receivers.url("watcher"), events={"service": "all"})
        down = await an_integration(services, receivers.url("down"))
        await bench.until_paused(services, down)
        await send(services, *range(10, 40))
        await bench.ask("update integration_health set failing_since = now() - interval '5 days'")
        await bench.ask("update revision set value = value + 1")
        health = await until_state(services, down, "disabled")
        assert (health.disabled_reason, health.disabled_by) == ("failing", "hookline")
        await bench.until_settled()
        reasons = {row[1] for row in await bench.outcomes(down)}
        assert reasons == {"exhausted", "disabled"}
        await receivers.until(
            lambda seen: (
                ("integration:disabled", "failing")
                in {(kind, data.get("reason")) for kind, data in told(seen)}
            )
        )


async def test_others_are_told_and_the_one_concerned_is_not(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes["down"] = 503
    everything = {"call": "all", "service": "all"}
    async with bench.running(probe_interval=0.2) as services:
        down = await an_integration(services, receivers.url("down"), name="CRM", events=everything)
        watching = {"service": "all"}
        await an_integration(services, receivers.url("watcher"), events=watching)
        await bench.until_paused(services, down)
        await receivers.until(lambda seen: "integration:paused" in dict(told(seen)))
        receivers.modes["down"] = 200
        await send(services, 99)
        await receivers.until(lambda seen: "integration:recovered" in dict(told(seen)))
        await receivers.until(lambda seen: "delivery:exhausted" in dict(told(seen)))
        paused = dict(told(receivers))["integration:paused"]
        assert (paused["integrationId"], paused["name"], paused["lastError"]) == (
            down,
            "CRM",
            "status",
        )
        await bench.until_settled()
        exhausted = [data for kind, data in told(receivers) if kind == "delivery:exhausted"]
        assert len(exhausted) == 1, "many failures are one notice a minute"
        assert {"call:start"} == {json.loads(body)["type"] for body in receivers.bodies["down"]}
        [(skipped,)] = await bench.ask(
            "select distinct skipped from events where type = 'integration:paused'"
        )
        assert json.loads(str(skipped)) == {"filtered": [down]}


async def test_a_notice_that_cannot_be_delivered_makes_no_further_notice(
    bench: Bench, receivers: Targets
) -> None:
    receivers.modes |= {"down": 503, "watcher": 503}
    async with bench.running() as services:
        down = await an_integration(services, receivers.url("down"))
        watcher = await an_integration(
            services, receivers.url("watcher"), events={"service": "all"}
        )
        await bench.until_paused(services, down)
        await receivers.until(lambda seen: seen.arrived("watcher") >= 2)
        await eventually(
            lambda: bench.outcomes(watcher), lambda rows: sum(int(str(r[3])) for r in rows) >= 2
        )
        about = await bench.ask("select distinct subject from events where type like 'delivery:%'")
        assert (watcher,) not in about


async def test_an_integration_that_is_gone_is_announced(bench: Bench, receivers: Targets) -> None:
    receivers.modes["gone"] = 410
    async with bench.running() as services:
        gone = await an_integration(services, receivers.url("gone"))
        await an_integration(services, receivers.url("watcher"), events={"service": "all"})
        await send(services, 1)
        health = await until_state(services, gone, "disabled")
        assert (health.disabled_reason, health.disabled_by) == ("gone", "hookline")
        await receivers.until(lambda seen: seen.answered["watcher"] == 1)
        [(kind, data)] = told(receivers)
        assert (kind, data["integrationId"], data["reason"]) == (
            "integration:disabled",
            gone,
            "gone",
        )
