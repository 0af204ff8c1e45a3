"""How fast others drain the same deliveries, on this machine, in this run, beside Hookline.

    .venv/bin/python benchmarks/compare.py [--seconds 10] [--results FILE] [NAME]…

Deliveries wait; then the worker starts. All send the same bytes with the same signatures to the
same receiver, and use the same Postgres with the same settings (arq: Redis with `appendfsync
always`, so that what was taken is on disk as well). The environment needs the dependency group
`bench`; graphile-worker needs Node and npm, which fetches it; arq needs `redis-server` (Debian's
package). What is not there is left out, with a sentence. FILE also shows the figures that `make
bench` left in benchmarks/figures.json.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from delivery import IN_FLIGHT
from results import Drained, markdown
from stores import postgres, redis

from hookline import logs
from hookline.cli.bench import flows, report
from hookline.cli.bench.counters import Counter, Counters
from hookline.cli.bench.events import DIGITS, Template, pbx_serial
from hookline.cli.bench.layout import Layout, layout_of_this_machine
from hookline.cli.bench.measure import family, processor_time
from hookline.cli.bench.processes import BenchFailed, Helper, helper, running
from hookline.cli.bench.scenarios import SCENARIOS, Options
from hookline.cli.bench.telling import Lines
from hookline.domain.events import Limits, parse_event
from hookline.domain.ids import new_integration_id, new_webhook_secret

HERE = Path(__file__).parent
START = 60.0  # seconds until a worker's first delivery
LOOK_EVERY = 0.02  # seconds


@dataclass(frozen=True)
class Candidate:
    name: str
    command: tuple[str, ...]
    per_second: int  # deliveries that wait, for each second: more than it makes
    redis: bool = False


PROCRASTINATE = Candidate(
    "Procrastinate + httpx", (sys.executable, str(HERE / "procrastinate_httpx.py")), 1_000
)
ARQ = Candidate("arq + httpx", (sys.executable, str(HERE / "arq_httpx.py")), 2_000, redis=True)
GRAPHILE = Candidate(
    "graphile-worker + undici", ("node", str(HERE / "graphile_worker" / "worker.mjs")), 15_000
)


def available() -> list[Candidate]:
    """Return what can run here; say what is left out."""
    found = [PROCRASTINATE]
    if shutil.which("redis-server"):
        found.append(ARQ)
    else:
        print("arq is left out: redis-server is not on PATH.")
    if npm := shutil.which("npm"):
        quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--silent")
        subprocess.run((npm, "install", *quiet), cwd=HERE / "graphile_worker", check=True)
        found.append(GRAPHILE)
    else:
        print("graphile-worker is left out: npm is not on PATH.")
    return found


async def hookline(layout: Layout, seconds: float) -> Drained:
    scenario = next(each for each in SCENARIOS if each.name == "drain")
    with Lines("Hookline") as tell:
        found = await flows.run(scenario, layout, tell, Options(seconds, in_flight=IN_FLIGHT))
    cost = found["cpu_us_per_delivery"]
    rate, memory = found["delivered_per_s"], found["rss_mb"]
    return Drained("Hookline", rate, cost["service"], cost["postgres"], memory)


async def drain(candidate: Candidate, layout: Layout, seconds: float) -> Drained:
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(passable_directory())
        counters = Counters.make(directory / "counters")
        receiver = await stack.enter_async_context(helper("receiver", "receiver", directory))
        layout.pin("receiver", [receiver.pid])
        delivery = await prepared(receiver, directory)
        open_store = redis if candidate.redis else postgres
        store, named = await stack.enter_async_context(open_store(directory))
        layout.pin("postgres", [each.pid for each in family(store)])
        environment = os.environ | named | {"BENCH_DELIVERY": json.dumps(delivery)}
        log = directory / "worker.log"

        count = int(candidate.per_second * seconds)
        print(f"{candidate.name}: {count:,} deliveries wait …", flush=True)
        filling = (*candidate.command, "fill", str(count))
        async with running(filling, directory, log, environment) as filler:
            if await filler.wait():
                raise BenchFailed(log.read_text())
        working = (*candidate.command, "work")
        worker = await stack.enter_async_context(running(working, directory, log, environment))
        layout.pin("service", [worker.pid])
        process = psutil.Process(worker.pid)
        return await measured(candidate, counters, (process, store), count, seconds)


async def measured(
    candidate: Candidate,
    counters: Counters,
    roots: tuple[psutil.Process, psutil.Process],
    count: int,
    seconds: float,
) -> Drained:
    """Watch the worker from its first delivery until all are made or the time is over."""
    await until(counters, 1, START)
    began, first = time.monotonic(), counters.view[Counter.RECEIVED]
    before = [processor_time(root) for root in roots]
    await until(counters, count, seconds)
    ended, delivered = time.monotonic(), counters.view[Counter.RECEIVED] - first
    if delivered + first >= count:
        ended = counters.view[Counter.LAST_RECEIPT] / 1e9
    if not delivered:
        raise BenchFailed(f"{candidate.name} delivered nothing.")
    after = [processor_time(root) for root in roots]
    worker, store = ((a - b) / delivered * 1e6 for a, b in zip(after, before, strict=True))
    memory = max(process.memory_info().rss for process in family(roots[0])) / 1e6
    return Drained(candidate.name, delivered / (ended - began), worker, store, memory)


async def prepared(receiver: Helper, directory: Path) -> dict[str, str]:
    """Open the receiver's port; return what a candidate sends there, and how it signs."""
    ports = await receiver.ask("listen", counters=str(directory / "counters"), webhooks=1)
    integration, secret = new_integration_id(), new_webhook_secret()
    await receiver.ask("secrets", secrets={integration: secret})
    template = Template()
    event = parse_event(template.event(0, pbx_serial(0)), Limits())
    body = event.body_for(integration).decode()
    start = len(template.head)
    return {
        "url": f"http://127.0.0.1:{ports['webhooks'][0]}/hook",
        "secret": secret,
        "head": body[:start],
        "tail": body[start + DIGITS :],
    }


async def until(counters: Counters, count: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while counters.view[Counter.RECEIVED] < count and time.monotonic() < deadline:  # noqa: ASYNC110 - another process counts
        await asyncio.sleep(LOOK_EVERY)


@contextmanager
def passable_directory() -> Iterator[Path]:
    """Make a directory that others may pass: for root, another user runs the database."""
    with tempfile.TemporaryDirectory(prefix="hookline-compare-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


async def compare(chosen: list[Candidate], seconds: float) -> str:
    layout = layout_of_this_machine(pinned=True)
    machine = report.machine(layout, Options(seconds))
    rows = [await hookline(layout, seconds)]
    for candidate in chosen:
        rows.append(await drain(candidate, layout, seconds))
        print(f"{candidate.name}: {rows[-1].per_s:,.0f}/s", flush=True)
    return markdown(machine, rows, seconds, HERE / "figures.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--results", type=Path)
    parser.add_argument("names", nargs="*", help="beginnings of names; all by default")
    options = parser.parse_args()
    logs.configure(level="WARNING", console=True)
    chosen = available()
    if options.names:
        chosen = [each for each in chosen if each.name.lower().startswith(tuple(options.names))]
    text = asyncio.run(compare(chosen, options.seconds))
    print(text)
    if options.results is not None:
        options.results.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
