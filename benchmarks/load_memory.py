"""The memory of a process before a load, at its most, and once it is idle again.

    .venv/bin/python benchmarks/load_memory.py [--seconds 20] [--quiet 30]

First 200 integrations on 200 origins each get one delivery: every connection and lane exists. Then
events of 1.4 kB are sent as fast as they are taken, singly and in batches, to 40 PBXs with five
integrations each, until thousands of deliveries are under way and the more wait in the database.
It fails where memory, `--quiet` seconds after the last delivery, is above what it was by a fifth.
"""

import argparse
import asyncio
import sys

import psutil

from bench import phases
from bench.counters import Counter
from bench.layout import Layout
from bench.measure import family
from bench.processes import BenchFailed, Service
from bench.scenarios import Options, Scenario
from bench.stage import Stage, stage
from hookline import logs

_INTEGRATIONS, _PBXS = 200, 40
_MEGABYTE = 1_000_000
_KEPT = 1.2  # times the memory before the load: the most that is left of it
_LOAD = Scenario(
    name="load memory",
    summary="all that the service takes, to 200 integrations",
    integrations=_INTEGRATIONS,
    pbxs=_PBXS,
)


def memory_of(service: Service, database: int) -> float:
    """Return the resident megabytes of the service's largest process."""
    others = {process.pid for process in family(psutil.Process(database))}
    ours = [each for each in family(psutil.Process(service.pid)) if each.pid not in others]
    largest: int = max(each.memory_info().rss for each in ours)
    return largest / _MEGABYTE


async def sent(place: Stage, service: Service, **order: object) -> None:
    """Send, and wait until all of it is delivered."""
    before = place.counters.view[Counter.RECEIVED]
    load = await place.send(service, **order)
    expected = before + load.report["accepted"] * place.scenario.fanout
    await phases.delivered(place.counters, expected, 60.0)
    if place.counters.view[Counter.RECEIVED] < expected:
        raise BenchFailed("Not everything was delivered.")


async def load_memory(seconds: float, quiet: float) -> bool:
    async with (
        stage(_LOAD, Layout(), Options(seconds)) as place,
        place.service() as (service, gauge),
    ):
        live = await place.subscribe(service)
        await sent(place, service, count=_PBXS)
        await phases.settled(gauge, live)
        await asyncio.sleep(quiet)
        before = memory_of(service, gauge.postmaster)
        for batch in (1, 100):
            await sent(place, service, seconds=seconds / 2, batch=batch)
        await phases.settled(gauge, live)
        most = gauge.most_memory()
        await asyncio.sleep(quiet)
        after = memory_of(service, gauge.postmaster)
    kept = after <= before * _KEPT
    sys.stdout.write(
        f"before {before:.0f} MB, at most {most:.0f} MB, {quiet:g} s after {after:.0f} MB"
        f" ({after / before:.2f} ×): {'pass' if kept else 'FAIL'}\n"
    )
    return kept


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the load lasts")
    parser.add_argument("--quiet", type=float, default=30.0, help="seconds before each reading")
    chosen = parser.parse_args()
    logs.configure(level="WARNING", console=True)
    sys.exit(0 if asyncio.run(load_memory(chosen.seconds, chosen.quiet)) else 1)
