"""How others make the same deliveries, on this machine, in this run, beside Hookline.

    .venv/bin/python benchmarks/compare.py [--seconds 10] [--processes 1] [--tls]
        [--rate N | --fanout N] [--results FILE] [NAME]…

Deliveries wait; then the worker starts. With --rate they are enqueued one by one instead, so many a
second, while the worker runs: how late they come then, and what each costs. With --fanout events of
N deliveries each are enqueued while it runs, as fast as that goes. What a second is to be worth
beside others is judged: `results.GOALS`. All send the same bytes
with the same signatures to the same receiver, and use the same Postgres with the same settings
(arq: Redis with `appendfsync always`, so that what was taken is on disk as well). The environment
needs the dependency group `bench`; graphile-worker needs Node and npm, which fetches it; arq needs
`redis-server` (Debian's package). What is not there is left out, with a sentence. Each program runs
in the same number of processes. FILE keeps what else it holds.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from bench import certificates, flows, report
from bench.counters import Counters
from bench.events import DIGITS, Template, pbx_serial
from bench.layout import Layout, layout_of_this_machine
from bench.measure import family
from bench.processes import BenchFailed, Helper, helper
from bench.progress import Lines
from bench.scenarios import SCENARIOS, Options
from delivery import IN_FLIGHT
from draining import drained, fed
from hookline import logs
from hookline.domain.events import Limits, parse_event
from hookline.domain.ids import new_integration_id, new_webhook_secret
from hookline.server.processes import running
from results import Drained, Setting, comparison, write
from stores import postgres, redis

HERE = Path(__file__).parent


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


async def hookline(layout: Layout, setting: Setting) -> Drained:
    scenario = next(each for each in SCENARIOS if each.name == setting.kind)
    scenario = replace(scenario, tls=setting.tls, rate=setting.rate)
    if setting.fanout is not None:
        scenario = replace(scenario, integrations=setting.fanout)
    with Lines("Hookline") as progress:
        options = Options(setting.seconds, IN_FLIGHT, setting.processes)
        found = await flows.run(scenario, layout, progress, options)
    cost, late = found["cpu_us_per_delivery"], found["end_to_end_ms"] or {}
    return Drained(
        "Hookline",
        found["delivered_per_s"],
        cost["service"],
        cost["postgres"],
        found["rss_mb"],
        (late["p50"], late["p99"]) if late else None,
    )


async def measured(candidate: Candidate, layout: Layout, setting: Setting) -> Drained:
    processes, seconds = setting.processes, setting.seconds
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(passable_directory())
        counters = Counters.make(directory / "counters")
        receiver = await stack.enter_async_context(helper("receiver", "receiver", directory))
        layout.pin("receiver", [receiver.pid])
        delivery = await prepared(receiver, directory, tls=setting.tls)
        open_store = redis if candidate.redis else postgres
        store, named = await stack.enter_async_context(open_store(directory))
        layout.pin("postgres", [each.pid for each in family(store)])
        environment = os.environ | named | {"BENCH_DELIVERY": json.dumps(delivery)}
        if "authority" in delivery:
            environment["NODE_EXTRA_CA_CERTS"] = delivery["authority"]
        log = directory / "worker.log"

        count = int(candidate.per_second * seconds * processes) if setting.rate is None else 0
        waiting = count if setting.fanout is None else 0
        print(f"{candidate.name}: {waiting:,} deliveries wait …", flush=True)
        filling = (*candidate.command, "fill", str(waiting))
        async with running(filling, directory, log, environment) as filler:
            if await filler.wait():
                raise BenchFailed(log.read_text())
        working = (*candidate.command, "work")
        workers = [
            await stack.enter_async_context(running(working, directory, log, environment))
            for _ in range(processes)
        ]
        layout.pin("service", [worker.pid for worker in workers])
        started = [psutil.Process(worker.pid) for worker in workers]
        if setting.fanout is not None:
            fanning = (*candidate.command, "fan", str(count // setting.fanout), str(setting.fanout))
            await stack.enter_async_context(running(fanning, directory, log, environment))
            count = count // setting.fanout * setting.fanout
        if setting.rate is None:
            return await drained(candidate.name, counters, (started, store), count, seconds)
        feeding = (*candidate.command, "feed", str(setting.rate), str(seconds))
        feeder = await stack.enter_async_context(running(feeding, directory, log, environment))
        return await fed(candidate.name, (started, store), feeder, setting, receiver, directory)


async def prepared(receiver: Helper, directory: Path, *, tls: bool) -> dict[str, str]:
    """Open the receiver's port; return what a candidate sends there, and how it signs."""
    trusted, shown = certificates.make(directory, "127.0.0.1")
    ports = await receiver.ask(
        "listen",
        counters=str(directory / "counters"),
        webhooks=1,
        tls=str(shown) if tls else None,
    )
    integration, secret = new_integration_id(), new_webhook_secret()
    await receiver.ask("secrets", secrets={integration: secret})
    template = Template()
    event = parse_event(template.event(0, pbx_serial(0)), Limits())
    body = event.body_for(integration).decode()
    start = len(template.head)
    return {
        "url": f"{'https' if tls else 'http'}://127.0.0.1:{ports['webhooks'][0]}/hook",
        "secret": secret,
        "head": body[:start],
        "tail": body[start + DIGITS :],
    } | ({"authority": str(trusted)} if tls else {})


@contextmanager
def passable_directory() -> Iterator[Path]:
    """Make a directory that others may pass: for root, another user runs the database."""
    with tempfile.TemporaryDirectory(prefix="hookline-compare-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


async def compare(chosen: list[Candidate], setting: Setting) -> str:
    layout = layout_of_this_machine(pinned=True, processes=setting.processes)
    machine = report.machine(layout, Options(setting.seconds, processes=setting.processes))
    rows = [await hookline(layout, setting)]
    for candidate in chosen:
        rows.append(await measured(candidate, layout, setting))
        print(f"{candidate.name}: {rows[-1].per_s:,.0f}/s", flush=True)
    return comparison(machine, rows, setting)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--processes", type=int, default=1, choices=range(1, 65), metavar="N")
    parser.add_argument("--tls", action="store_true", help="the receiver speaks HTTPS")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--rate", type=float, help="deliveries a second, enqueued one by one")
    ways.add_argument("--fanout", type=int, metavar="N", help="deliveries of each event")
    parser.add_argument("--results", type=Path)
    parser.add_argument("names", nargs="*", help="beginnings of names; all by default")
    options = parser.parse_args()
    logs.configure(level="WARNING", console=True)
    chosen = available()
    if options.names:
        chosen = [each for each in chosen if each.name.lower().startswith(tuple(options.names))]
    setting = Setting(options.seconds, options.processes, options.tls, options.rate, options.fanout)
    text = asyncio.run(compare(chosen, setting))
    print(text)
    if options.results is not None:
        write(options.results, setting.part, text)


if __name__ == "__main__":
    main()
