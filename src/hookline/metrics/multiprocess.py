"""Adds up the metrics of worker processes: each writes a file, and any of them is scraped.

A scrape reaches one worker process by chance. So each keeps its numbers in a file of its own, in
a folder that their parent made for them: every other second, and before it answers a scrape. Who is
asked adds up all files. Since it has written its own before it answers, no answer to a later
scrape is lower, whichever worker gives it. A worker that is started again goes on from its
predecessor's counters, so these outlive it, and there are never more files than workers.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from hookline.metrics.definitions import Numbers

WRITE_EVERY: Final = 2.0  # seconds; scrapes are seconds apart, and a file costs a millisecond
_SILENT_AFTER: Final = 3 * WRITE_EVERY + 4.0  # a busy machine may hold a worker up for seconds


class WorkerMetrics(msgspec.Struct, frozen=True):
    """One worker's numbers: what only grows, what is so now, and what its process takes."""

    worker: int
    written_at: float  # by the machine's own clock, which is the same in all its processes
    counters: Numbers
    gauges: Numbers
    process: dict[str, float]


class WorkerMetricsFiles:
    """The files of all worker processes, as one of them sees them; `path` is its own."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._files = ThreadPoolExecutor(1, "metrics-files")  # one by one, whoever has gone away
        self.worker = int(path.name)
        before = _read(path)
        self._inherited: Numbers = {} if before is None else before.counters

    async def write(self, counters: Numbers, gauges: Numbers, process: dict[str, float]) -> None:
        """Write this worker's numbers, with those that it inherited. Raises OSError."""
        whole = added([self._inherited, counters])
        metrics = WorkerMetrics(self.worker, self._clock(), whole, gauges, process)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._files, _write, self._path, metrics)

    async def read(self) -> list[WorkerMetrics]:
        """Return what each worker wrote last."""
        return await asyncio.get_running_loop().run_in_executor(self._files, self._read_all)

    def alive(self, metrics: WorkerMetrics) -> bool:
        """Whether a worker has written lately: one that died leaves only its counters."""
        return metrics.written_at > self._clock() - _SILENT_AFTER

    def _read_all(self) -> list[WorkerMetrics]:
        numbered = [each for each in self._path.parent.iterdir() if each.name.isdigit()]
        found = [_read(path) for path in sorted(numbered, key=lambda path: int(path.name))]
        return [each for each in found if each is not None]


def leave(path: Path) -> None:
    """Remove a file, and with the last one the folder: the parent that made it is gone."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others are in it still
        path.parent.rmdir()


def added(parts: Iterable[Numbers]) -> Numbers:
    """Add numbers up, series by series."""
    total: Numbers = {}
    for part in parts:
        for name, series in part.items():
            sums = total.setdefault(name, {})
            for labels, numbers in series.items():
                known = sums.get(labels)
                sums[labels] = (
                    list(numbers)
                    if known is None
                    else [mine + theirs for mine, theirs in zip(known, numbers, strict=True)]
                )
    return total


def _write(path: Path, metrics: WorkerMetrics) -> None:
    """Put a whole file in place at once, so that nobody reads half of one."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(msgspec.msgpack.encode(metrics))
    os.replace(draft, path)  # noqa: PTH105 - the name says that the old one goes


def _read(path: Path) -> WorkerMetrics | None:
    """Return a worker's file; None where it has not written any yet."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=WorkerMetrics)
    except FileNotFoundError:
        return None
