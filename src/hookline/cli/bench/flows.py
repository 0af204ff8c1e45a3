"""What is done in a scenario, step by step, and what is read when."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from hookline.cli.bench import backlog, results
from hookline.cli.bench.counters import Counter, Counters
from hookline.cli.bench.layout import Layout
from hookline.cli.bench.measure import Gauge
from hookline.cli.bench.results import Spent
from hookline.cli.bench.scenarios import Kind, Options, Scenario
from hookline.cli.bench.stage import Stage, stage
from hookline.cli.bench.telling import Teller

_LOOK_EVERY = 0.02  # seconds between looks at the counters
_LONGEST_WARM_UP = 2.0  # seconds
_PATIENCE = 30.0  # seconds for what is left at a phase's end, and as much again as it lasted
_SETTLING = 5.0  # seconds until the last outcomes are written; usually milliseconds

_UNSETTLED = "select exists (select from pending where integration_id = any($1::text[]))"


async def run(scenario: Scenario, layout: Layout, tell: Teller, options: Options) -> dict[str, Any]:
    """Run one scenario from an empty database; return its figures as the JSON has them."""
    tell.phase("starting")
    own = scenario.for_a_run_of(options.seconds)
    async with stage(own, layout, options) as place:
        measured = await (_drain if scenario.kind is Kind.DRAIN else _flow)(
            place, tell, options.seconds
        )
    return {"what": scenario.summary, **measured}


async def _flow(place: Stage, tell: Teller, seconds: float) -> dict[str, Any]:
    """Warm up, then send for `seconds` and wait until everything is delivered."""
    scenario, view = place.scenario, place.counters
    shape = {"rate": scenario.rate, "window": scenario.window}
    async with place.service() as (service, gauge):
        tell.phase("making integrations", scenario.integrations)
        live = await place.subscribe(service)
        waiting = await backlog.fill(place, service, gauge, tell)

        tell.phase("warming up")
        async with _watching(view, tell):
            sent = await place.send(service, seconds=min(_LONGEST_WARM_UP, seconds / 2), **shape)
            await _delivered(view, sent.report["accepted"] * scenario.fanout, seconds)
        await _settled(gauge, live)

        tell.phase("measuring")
        before = await gauge.read()
        received = view.view[Counter.RECEIVED]
        async with _watching(view, tell):
            sent = await place.send(service, seconds=seconds, **shape)
            expected = received + sent.report["accepted"] * scenario.fanout
            await _delivered(view, expected, seconds)
        settled = await _settled(gauge, live)
        spent = Spent.between(before, await gauge.read())
        found = results.of_flow(sent, await place.receipts(), scenario.fanout)
        return (
            _whole(found, spent, gauge)
            | {"settled": settled, "errors": place.complaints()}
            | waiting
        )


async def _drain(place: Stage, tell: Teller, seconds: float) -> dict[str, Any]:
    """Accept without an engine, stop, start with one, and watch it work."""
    scenario, view = place.scenario, place.counters
    count = scenario.waiting
    async with place.service("--no-engine") as (service, _):
        live = await place.subscribe(service)
        tell.phase("accepting", count)
        async with _watching(view, tell, Counter.ACCEPTED):
            sent = await place.send(service, count=count)

    tell.phase("draining", count)
    async with place.service() as (_, gauge):
        before = await gauge.read()
        async with _watching(view, tell):
            await _delivered(view, sent.report["accepted"], 10 * seconds)
        settled = await _settled(gauge, live)
        spent = Spent.between(before, await gauge.read())
        found = results.of_drain(sent, await place.receipts(), before.at)
        own = {"settled": settled, "waiting": count, "errors": place.complaints()}
        return _whole(found, spent, gauge) | own


def _whole(found: dict[str, Any], spent: Spent, gauge: Gauge) -> dict[str, Any]:
    return (
        found | results.costs(spent, found["delivered"]) | {"rss_mb": round(gauge.most_memory(), 1)}
    )


async def _delivered(counters: Counters, expected: int, seconds: float) -> None:
    """Wait until so many deliveries are received, or for the patience that a phase deserves."""
    deadline = time.monotonic() + _PATIENCE + seconds
    while counters.view[Counter.RECEIVED] < expected and time.monotonic() < deadline:  # noqa: ASYNC110 - another process counts
        await asyncio.sleep(_LOOK_EVERY)


async def _settled(gauge: Gauge, integrations: Sequence[str]) -> bool:
    """Wait until the database has every outcome; tell whether it has."""
    deadline = time.monotonic() + _SETTLING
    while await gauge.database.fetchval(_UNSETTLED, integrations):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_EVERY)
    return True


@asynccontextmanager
async def _watching(
    counters: Counters, tell: Teller, counter: Counter = Counter.RECEIVED
) -> AsyncIterator[None]:
    """Tell how far a counter is, while the block lasts."""
    began = counters.view[counter]

    async def watch() -> None:
        while True:
            tell.at(counters.view[counter] - began)
            await asyncio.sleep(0.25)

    task = asyncio.create_task(watch(), name="bench-progress")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        tell.at(counters.view[counter] - began)
