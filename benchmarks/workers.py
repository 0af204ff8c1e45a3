"""How `hookline worker` processes share one backlog: as many as are asked for, on one Postgres.

    .venv/bin/python benchmarks/workers.py [--deliveries 100000] [--results FILE] [WORKERS]…

For each number (1, 2 and 4 by default) deliveries are accepted by `hookline serve --no-engine`,
and wait; then so many workers start. It fails where a delivery comes twice, or does not come.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import psutil

from bench import phases, report
from bench.layout import Layout
from bench.processes import BenchFailed
from bench.scenarios import SCENARIOS, Options
from bench.stage import Stage, stage
from draining import drained
from hookline import logs
from hookline.db.embedded import running_dsn
from hookline.server.processes import running
from hookline.settings import PREFIX
from hookline.settings.generated_secrets import ENCRYPTION_KEYS_FILE
from results import Drained, workers, write

LONGEST = 120.0  # seconds for a backlog


async def shared_by(number: int, count: int) -> Drained:
    drain = next(each for each in SCENARIOS if each.name == "drain")
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(
            stage(replace(drain, waiting=count), Layout(), Options())
        )
        service, gauge = await stack.enter_async_context(place.service("--no-engine"))
        live = await place.subscribe(service)
        await place.send(service, count=count)
        command = (sys.executable, "-m", "hookline", "worker")
        environment, log = environment_of(place), place.directory / "workers.log"
        started = [
            await stack.enter_async_context(running(command, place.directory, log, environment))
            for _ in range(number)
        ]
        store = psutil.Process(gauge.postmaster)
        roots = [psutil.Process(each.pid) for each in started], store
        row = await drained(f"{number}", place.counters, roots, count, LONGEST)
        await phases.settled(gauge, live)  # until then one that was claimed twice may still come
        receipts = await place.receipts()
        if receipts.report["duplicates"] or len(receipts.numbers) != count:
            raise BenchFailed(
                f"{len(receipts.numbers):,} of {count:,} came,"
                f" {receipts.report['duplicates']:,} of them twice."
            )
        return row


def environment_of(place: Stage) -> dict[str, str]:
    """Return what workers need beside the service that owns the bundled Postgres."""
    data = place.directory / "data"
    own = {
        "DATABASE_URL": running_dsn(data) or "",
        "ENCRYPTION_KEYS": (data / ENCRYPTION_KEYS_FILE).read_text(encoding="ascii").strip(),
        "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(PREFIX)}
    return kept | {f"{PREFIX}{name}": value for name, value in own.items()}


async def measure(numbers: Sequence[int], count: int) -> str:
    machine = report.machine(Layout(), Options())
    rows = []
    for number in numbers:
        rows.append(await shared_by(number, count))
        print(f"{number} workers: {rows[-1].per_s:,.0f}/s", flush=True)
    return workers(machine, rows, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=100_000)
    parser.add_argument("--results", type=Path)
    parser.add_argument("workers", nargs="*", type=int, default=[1, 2, 4])
    options = parser.parse_args()
    logs.configure(level="WARNING", console=True)
    text = asyncio.run(measure(options.workers, options.deliveries))
    print(text)
    if options.results is not None:
        write(options.results, "workers", text)


if __name__ == "__main__":
    main()
