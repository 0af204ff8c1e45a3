"""Runs long parsing jobs on the event loop, a step at a time, in turn for each key.

At most one step, of a millisecond or a few, runs between two rounds of the loop, however many jobs
wait: so a key that sends what is dear to parse delays its own requests first, and others' by less
than the least that a database answers in.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any, TypeVar
from uuid import UUID

import msgspec

_Result = TypeVar("_Result")


class _Job(msgspec.Struct):
    steps: Generator[None, None, Any]  # Any: as is whatever comes of a job
    result: asyncio.Future[Any]


class TimeSlices:
    """Round robin over keys; one key's jobs run one after the other.

    `charge` is told the CPU seconds of each step and whose it was, also of jobs that fail.
    """

    def __init__(self, charge: Callable[[UUID, float], None]) -> None:
        self._charge = charge
        self._waiting: dict[UUID, deque[_Job]] = {}  # the key whose turn is next comes first
        self._running: asyncio.Task[None] | None = None

    async def run(self, key_id: UUID, steps: Generator[None, None, _Result]) -> _Result:
        """Run a job of this key to its end; return or raise what comes of it."""
        result: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key_id, deque()).append(_Job(steps, result))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run_all(), name="time slices")
        return await result

    async def _run_all(self) -> None:
        while self._waiting:
            key_id = next(iter(self._waiting))
            jobs = self._waiting.pop(key_id)
            if self._has_ended(key_id, jobs[0]):
                jobs.popleft()
            if jobs:
                self._waiting[key_id] = jobs  # behind all others
            await asyncio.sleep(0)

    def _has_ended(self, key_id: UUID, job: _Job) -> bool:
        """Run one step of a job that is still wanted; tell whether it was the last."""
        if job.result.cancelled():
            job.steps.close()
            return True
        started = time.thread_time()
        try:
            next(job.steps)
        except StopIteration as end:
            job.result.set_result(end.value)
        except Exception as error:  # noqa: BLE001 - whoever waits for the job handles it
            job.result.set_exception(error)
        finally:
            self._charge(key_id, time.thread_time() - started)
        return job.result.done()
