"""What the flows are made of: waiting until something is delivered and settled, and adding up."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bench import results
from bench.counters import Counter, Counters
from bench.measure import Gauge
from bench.progress import ProgressDisplay
from bench.results import Spent

_LOOK_EVERY = 0.02  # seconds between looks at the counters
_LONGEST_WARM_UP = 2.0  # seconds
_PATIENCE = 30.0  # seconds for what is left at a phase's end, besides as many as it lasted
_SETTLING = 5.0  # seconds until the last outcomes are written; usually milliseconds

_UNSETTLED = "select exists (select from pending where integration_id = any($1::text[]))"


def warm_up(seconds: float) -> float:
    """Return how long to warm up for a phase of so many seconds."""
    return min(_LONGEST_WARM_UP, seconds / 2)


def patience(seconds: float) -> float:
    """Return how long to wait for what is left after a phase of so many seconds."""
    return _PATIENCE + seconds


async def delivered(counters: Counters, expected: int, seconds: float) -> None:
    """Wait until so many deliveries are received, or for the patience that a phase deserves."""
    deadline = time.monotonic() + patience(seconds)
    while counters.view[Counter.RECEIVED] < expected and time.monotonic() < deadline:  # noqa: ASYNC110 - another process counts
        await asyncio.sleep(_LOOK_EVERY)


async def settled(gauge: Gauge, integrations: Sequence[str], within: float = _SETTLING) -> bool:
    """Wait until the database has every outcome; tell whether it has."""
    deadline = time.monotonic() + within
    while await gauge.database.fetchval(_UNSETTLED, integrations):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_EVERY)
    return True


def whole(found: dict[str, Any], spent: Spent, gauge: Gauge) -> dict[str, Any]:
    """Add what it cost to what a phase came to."""
    return (
        found | results.costs(spent, found["delivered"]) | {"rss_mb": round(gauge.most_memory(), 1)}
    )


@asynccontextmanager
async def watching(
    counters: Counters, progress: ProgressDisplay, counter: Counter = Counter.RECEIVED
) -> AsyncIterator[None]:
    """Tell how far a counter is, while the block lasts."""
    began = counters.view[counter]

    async def watch() -> None:
        while True:
            progress.at(counters.view[counter] - began)
            await asyncio.sleep(0.25)

    task = asyncio.create_task(watch(), name="bench-progress")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        progress.at(counters.view[counter] - began)
