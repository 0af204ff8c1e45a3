"""How many messages a second go through the SQS sink, against a fake queue service on loopback.

    .venv/bin/python benchmarks/sqs_sink.py [--messages N] [--in-flight N] [--queues N] [--fifo]

The fake runs in a process of its own, on another core where there is one. `--profile FILE` writes
what cProfile saw of the sink's process.
"""

import argparse
import asyncio
import cProfile
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import uvloop

from hookline.domain.ids import new_uuid
from hookline.domain.targets import SqsTarget
from hookline.sinks import Shipment
from hookline.sinks.sqs import SqsSink

_TESTS = Path(__file__).parent.parent / "tests"
_BODY = json.dumps(
    {"id": "c", "pbx": "000000000001", "company": "it_w000001", "data": {"text": "é" * 620}},
    separators=(",", ":"),
    ensure_ascii=False,
).encode()


def shipment(number: int, options: argparse.Namespace) -> Shipment:
    suffix = ".fifo" if options.fifo else ""
    name = f"https://sqs.eu-central-1.amazonaws.com/123456789012/q{number % options.queues}{suffix}"
    return Shipment(
        delivery_id=new_uuid(),
        body=_BODY,
        target=SqsTarget(name, "AKIAEXAMPLE", "an AWS secret"),
        event_type="call:completed",
        subject=f"call-{number}",
        pbx="000000000001",
        company="it_w000001",
    )


async def send_all(sink: SqsSink, shipments: list[Shipment], in_flight: int) -> Counter[str]:
    verdicts: Counter[str] = Counter()
    rest = iter(shipments)

    async def lane() -> None:
        for one in rest:
            verdicts[(await sink.send(one)).verdict] += 1

    async with asyncio.TaskGroup() as lanes:
        for _ in range(in_flight):
            lanes.create_task(lane())
    return verdicts


async def measure(endpoint: str, options: argparse.Namespace) -> None:
    sink = SqsSink(timeout=10.0, endpoint_url=endpoint)
    started = time.perf_counter()
    await sink.send(shipment(0, options))
    print(f"first message, with import and client: {time.perf_counter() - started:.3f} s")
    await send_all(sink, [shipment(n, options) for n in range(2000)], options.in_flight)
    shipments = [shipment(n, options) for n in range(options.messages)]
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    started, cpu = time.perf_counter(), time.process_time()
    verdicts = await send_all(sink, shipments, options.in_flight)
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    profile.disable()
    if options.profile:
        profile.dump_stats(options.profile)
    print(f"{len(_BODY)} bytes, {options.in_flight} in flight, {options.queues} queue(s)")
    print(
        f"{options.messages / took:,.0f} messages/s, {cpu / options.messages * 1e6:.0f} µs CPU each"
    )
    print(f"verdicts: {dict(verdicts)}")
    await sink.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--queues", type=int, default=1)
    parser.add_argument("--fifo", action="store_true")
    parser.add_argument("--profile", default="")
    options = parser.parse_args()
    fake = subprocess.Popen(
        [sys.executable, "-m", "support.sqs_fake", "0"],
        cwd=_TESTS,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert fake.stdout is not None  # noqa: S101  it was asked for
        endpoint = fake.stdout.readline().strip()
        if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(fake.pid, {0})
            os.sched_setaffinity(0, {1})
        uvloop.run(measure(endpoint, options))
    finally:
        fake.kill()
        fake.wait()


if __name__ == "__main__":
    main()
