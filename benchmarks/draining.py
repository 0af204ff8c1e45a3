"""Watches workers from their first delivery until all are made: how fast, and at what cost."""

import asyncio
import time
from collections.abc import Sequence

import psutil

from bench.counters import Counter, Counters
from bench.measure import family, processor_time
from bench.processes import BenchFailed
from results import Drained

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
    every = [process for root in workers for process in family(root)]
    memory = max(process.memory_info().rss for process in every) / 1e6
    return Drained(name, delivered / (ended - began), worker, stored, memory)


async def _until(counters: Counters, count: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while counters.view[Counter.RECEIVED] < count and time.monotonic() < deadline:  # noqa: ASYNC110 - another process counts
        await asyncio.sleep(LOOK_EVERY)
