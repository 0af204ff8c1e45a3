"""Watches workers from their first delivery until all are made: how fast or late, at what cost."""

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

import psutil

from bench.counters import Counter, Counters
from bench.measure import family, processor_time
from bench.processes import BenchFailed, Helper
from bench.results import Receipts
from results import Drained, Setting

START = 60.0  # seconds until a worker's first delivery
LOOK_EVERY = 0.02  # seconds


async def drained(
    name: str,
    counters: Counters,
    roots: tuple[Sequence[psutil.Process], psutil.Process],
    count: int,
    seconds: float,
) -> Drained:
    """Watch the workers, and their store, until `count` are received or the time is over."""
    workers, store = roots
    await _until(counters, 1, START)
    began, first = time.monotonic(), counters.view[Counter.RECEIVED]
    before = sum(map(processor_time, workers)), processor_time(store)
    await _until(counters, count, seconds)
    ended, delivered = time.monotonic(), counters.view[Counter.RECEIVED] - first
    if delivered + first >= count:
        ended = counters.view[Counter.LAST_RECEIPT] / 1e9
    if not delivered:
        raise BenchFailed(f"{name} delivered nothing.")
    after = sum(map(processor_time, workers)), processor_time(store)
    worker, stored = ((a - b) / delivered * 1e6 for a, b in zip(after, before, strict=True))
    return Drained(name, delivered / (ended - began), worker, stored, _memory(workers))


async def fed(  # noqa: PLR0913, PLR0917 - what takes part in one measurement
    name: str,
    roots: tuple[Sequence[psutil.Process], psutil.Process],
    feeder: Process,
    setting: Setting,
    receiver: Helper,
    directory: Path,
) -> Drained:
    """Watch the workers while jobs are enqueued at a rate, from the first that is due.

    How late a delivery is, is told from when it was due to be enqueued until its receipt.
    """
    workers, store = roots
    assert setting.rate is not None and feeder.stdout is not None  # noqa: S101, PT018 - both asked for
    began = int(await asyncio.wait_for(feeder.stdout.readline(), START))
    before = sum(map(processor_time, workers)), processor_time(store)
    await asyncio.wait_for(feeder.wait(), setting.seconds + START)
    count = int(setting.rate * setting.seconds)
    counters = Counters(directory / "counters")
    await _until(counters, count, setting.seconds)
    after = sum(map(processor_time, workers)), processor_time(store)
    out = directory / "received"
    receipts = Receipts.read(out, await receiver.ask("write", path=str(out)))
    pairs = zip(receipts.numbers, receipts.times, strict=True)
    late = sorted(at - began - number / setting.rate * 1e9 for number, at in pairs)
    if not late:
        raise BenchFailed(f"{name} delivered nothing.")
    worker, stored = ((a - b) / len(late) * 1e6 for a, b in zip(after, before, strict=True))
    rate = len(late) / ((max(receipts.times) - began) / 1e9)
    median, slowest = (round(late[int(len(late) * q)] / 1e6, 1) for q in (0.5, 0.99))
    return Drained(name, rate, worker, stored, _memory(workers), (median, slowest))


def _memory(workers: Sequence[psutil.Process]) -> float:
    every = [process for root in workers for process in family(root)]
    return float(max(process.memory_info().rss for process in every)) / 1e6


async def _until(counters: Counters, count: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while counters.view[Counter.RECEIVED] < count and time.monotonic() < deadline:  # noqa: ASYNC110 - another process counts
        await asyncio.sleep(LOOK_EVERY)
