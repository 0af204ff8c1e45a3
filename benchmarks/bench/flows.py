"""What is done in a scenario, step by step, and what is read when."""

from typing import Any, Final

from bench import abuse, backlog, fairness, phases, results
from bench.counters import Counter
from bench.events import matching_us
from bench.layout import Layout
from bench.progress import ProgressDisplay
from bench.results import Spent
from bench.scenarios import Kind, Options, Scenario
from bench.stage import Stage, stage


async def run(
    scenario: Scenario, layout: Layout, progress: ProgressDisplay, options: Options
) -> dict[str, Any]:
    """Run one scenario from an empty database; return its figures as the JSON has them."""
    progress.phase("starting")
    own = scenario.for_a_run_of(options.seconds)
    async with stage(own, layout, options) as place:
        measured = await _FLOWS[scenario.kind](place, progress, own.measured_for(options.seconds))
    return {"what": scenario.summary, "integrations": own.integrations, **measured}


async def _flow(place: Stage, progress: ProgressDisplay, seconds: float) -> dict[str, Any]:
    """Warm up, then send for `seconds` and wait until everything is delivered."""
    scenario, view = place.scenario, place.counters
    shape = {"rate": scenario.rate, "window": scenario.window}
    async with place.service() as (service, gauge):
        progress.phase("making integrations", scenario.integrations)
        live = await place.subscribe(service)
        waiting = await backlog.fill(place, service, gauge, progress)

        progress.phase("warming up")
        async with phases.watching(view, progress):
            sent = await place.send(service, seconds=phases.warm_up(seconds), **shape)
            await phases.delivered(view, sent.report["accepted"] * scenario.fanout, seconds)
        await phases.settled(gauge, live)

        progress.phase("measuring")
        before = await gauge.read()
        received = view.view[Counter.RECEIVED]
        async with phases.watching(view, progress):
            sent = await place.send(service, seconds=seconds, **shape)
            expected = received + sent.report["accepted"] * scenario.fanout
            await phases.delivered(view, expected, seconds)
        settled = await phases.settled(gauge, live)
        spent = Spent.between(before, await gauge.read())
        found = results.of_flow(sent, await place.receipts(), scenario.fanout)
        return (
            phases.whole(found, spent, gauge)
            | {"settled": settled, "errors": place.complaints()}
            | waiting
            | _matching(scenario)
        )


def _matching(scenario: Scenario) -> dict[str, float]:
    """Measure what the filters take of an event, by themselves."""
    if scenario.passing is None:
        return {}
    of_each = scenario.integrations // scenario.pbxs
    return {"matching_us_per_event": matching_us(of_each, scenario.passing)}


async def _drain(place: Stage, progress: ProgressDisplay, seconds: float) -> dict[str, Any]:
    """Accept without an engine, stop, start with one, and watch it work."""
    scenario, view = place.scenario, place.counters
    count = scenario.waiting
    async with place.service("--no-engine") as (service, _):
        live = await place.subscribe(service)
        progress.phase("accepting", count)
        async with phases.watching(view, progress, Counter.ACCEPTED):
            sent = await place.send(service, count=count)

    progress.phase("draining", count)
    async with place.service() as (_, gauge):
        before = await gauge.read()
        async with phases.watching(view, progress):
            await phases.delivered(view, sent.report["accepted"], 10 * seconds)
        settled = await phases.settled(gauge, live)
        spent = Spent.between(before, await gauge.read())
        found = results.of_drain(sent, await place.receipts(), before.at)
        own = {"settled": settled, "waiting": count, "errors": place.complaints()}
        return phases.whole(found, spent, gauge) | own


_FLOWS: Final = {
    Kind.FLOW: _flow,
    Kind.DRAIN: _drain,
    Kind.CROWD: fairness.crowd,
    Kind.FLOOD: fairness.flood,
    Kind.ABUSE: abuse.abuse,
}
