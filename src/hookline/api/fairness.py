"""The share that each tenant has of one process: its memory, its connections, its CPU time.

Request bodies are bounded in bytes, reads in how many run at a time, and long parsing jobs take
turns by key. Whoever wants more than its share waits for itself alone.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from uuid import UUID

import msgspec

from hookline.api.cpu_shares import tenant_of
from hookline.background import Tasks
from hookline.domain.access import Principal
from hookline.errors import Overloaded
from hookline.memory import return_free_pages

_Result = TypeVar("_Result")

_BODY_SHARE = 4  # a tenant may have one in so many of all bytes
_BODY_PATIENCE = 5.0  # seconds that a sender waits for room
_MOST_WAITING_BODIES = 16  # bodies of one tenant; each holds what came with its head
_BODY_RETRY_AFTER = 5.0  # seconds
_LARGE_BODY = 8 * 1024 * 1024  # bytes at once, after which the heap is worth a look
_READ_BYTE: Final = 1e-9  # seconds of CPU to take a byte of a body in, and put it to the others
_TRIM_AFTER = 1.0  # seconds, in which what was made of the bodies is freed too
_READ_SHARE: Final = 2  # a tenant may have one in so many of a process's connections
_MOST_WAITING_READS: Final = 32  # reads of one tenant
_READ_PATIENCE: Final = 10.0  # seconds that one waits; a statement ends within about that
_READ_RETRY_AFTER: Final = 2.0  # seconds
_ROUND_FOR: Final = 0.000_25  # seconds of a step, for which the loop goes round once more
_LOOK_AGAIN: Final = 0.005  # seconds, while all who have jobs rest
_MOST_ROUNDS: Final = 16  # as many as one request of a few bytes takes


class BodyMemory:
    """Counts the bytes of all bodies under way; `largest` is what any tenant may have."""

    def __init__(self, most: int, *, largest: int) -> None:
        self._most = most
        self._most_of_tenant = max(most // _BODY_SHARE, largest)
        self._of_tenant: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._freed = asyncio.Event()
        self._trimming: asyncio.TimerHandle | None = None
        self.taken = 0

    def of(self, principal: Principal, charge: "Rest | None" = None) -> "HeldBody":
        """Return the memory for one body of this caller: `with memory.of(caller) as held: …`.

        `charge` is told the CPU seconds that reading it takes, also where it never ends.
        """
        return HeldBody(self, tenant_of(principal), charge)

    def fits(self, tenant: str, size: int) -> bool:
        """Whether there is room for so many bytes more."""
        of_tenant = self._of_tenant[tenant] + size
        return of_tenant <= self._most_of_tenant and self.taken + size <= self._most

    def take(self, tenant: str, size: int) -> None:
        """Count these bytes."""
        self.taken += size
        self._of_tenant[tenant] += size

    def release(self, tenant: str, size: int) -> None:
        """Count these bytes no more, and let others look for room."""
        self.taken -= size
        self._of_tenant[tenant] -= size
        if not self._of_tenant[tenant]:
            del self._of_tenant[tenant]
        if self._waiting:
            self._freed.set()
            self._freed = asyncio.Event()
        if size + self.taken >= _LARGE_BODY and self._trimming is None:
            self._trimming = asyncio.get_running_loop().call_later(_TRIM_AFTER, self._trim)

    def _trim(self) -> None:
        self._trimming = None
        return_free_pages()

    async def room(self, tenant: str, size: int) -> None:
        """Wait until there is room; raise Overloaded where there is none in time."""
        if self._waiting[tenant] >= _MOST_WAITING_BODIES:
            raise _no_room()
        self._waiting[tenant] += 1
        try:
            async with asyncio.timeout(_BODY_PATIENCE):
                while not self.fits(tenant, size):
                    await self._freed.wait()
        except TimeoutError as error:
            raise _no_room() from error
        finally:
            self._waiting[tenant] -= 1
            if not self._waiting[tenant]:
                del self._waiting[tenant]


class HeldBody:
    """The bytes of one body."""

    __slots__ = ("_charge", "_memory", "_size", "_tenant")

    def __init__(self, memory: BodyMemory, tenant: str, charge: "Rest | None") -> None:
        self._memory: Final = memory
        self._tenant: Final = tenant
        self._charge: Final = charge
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._size:
            self._memory.release(self._tenant, self._size)
            if self._charge is not None:
                self._charge(self._size * _READ_BYTE)

    async def grow(self, size: int) -> None:
        """Take what is missing for a body of `size` bytes."""
        more = size - self._size
        if more <= 0:
            return
        if not self._memory.fits(self._tenant, more):
            await self._memory.room(self._tenant, more)
        self._memory.take(self._tenant, more)
        self._size = size


def _no_room() -> Overloaded:
    return Overloaded(
        "Too many bytes of request bodies are under way; send fewer or smaller ones at a time, and"
        " come again when Retry-After says.",
        retry_after=_BODY_RETRY_AFTER,
    )


class _Tenant(msgspec.Struct):
    places: asyncio.Semaphore
    reads: int = 0  # under way, or waiting


class ConcurrentReads:
    """Gives each tenant its slots for reads: `async with reads.slot(principal): …`."""

    def __init__(self, connections: int) -> None:
        self._most = max(1, connections // _READ_SHARE)
        self._tenants: dict[str, _Tenant] = {}

    @asynccontextmanager
    async def slot(self, principal: Principal) -> AsyncIterator[None]:
        """Wait for a place of this caller's tenant; raise Overloaded where it takes too long."""
        name = tenant_of(principal)
        tenant = self._tenants.get(name)
        if tenant is None:
            tenant = self._tenants[name] = _Tenant(asyncio.Semaphore(self._most))
        if tenant.reads >= self._most + _MOST_WAITING_READS:
            raise _too_many_reads()
        tenant.reads += 1
        try:
            if tenant.places.locked():
                await _wait_for(tenant.places)
            else:
                await tenant.places.acquire()  # at once
            try:
                yield
            finally:
                tenant.places.release()
        finally:
            tenant.reads -= 1
            if not tenant.reads:
                del self._tenants[name]


async def _wait_for(places: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(_READ_PATIENCE):
            await places.acquire()
    except TimeoutError as error:
        raise _too_many_reads() from error


def _too_many_reads() -> Overloaded:
    return Overloaded(
        "Too many lists and searches of yours are under way; send fewer at a time, and come again"
        " when Retry-After says.",
        retry_after=_READ_RETRY_AFTER,
    )


Rest = Callable[[float], float]
"""Is told the CPU seconds of a step; returns for how many seconds its tenant should use none."""


class _Job(msgspec.Struct):
    steps: Generator[None, None, Any]  # Any: as is whatever comes of a job
    result: asyncio.Future[Any]
    rest: Rest | None


class TimeSlices:
    """Round robin over keys; one key's jobs run one after the other.

    The longer a step took, the more rounds of the loop go to others before the next one: a small
    request, which takes a dozen rounds, waits for one or two steps and not for a dozen. Where
    nothing else is to be done, rounds take no time. A job may have its key rest after a step; the
    other keys go on meanwhile. `charge` is told the CPU seconds of each step
    and whose it was, also of jobs that fail.
    """

    def __init__(self, charge: Callable[[UUID, float], None]) -> None:
        self._charge = charge
        self._waiting: dict[UUID, deque[_Job]] = {}  # the key whose turn is next comes first
        self._resting: dict[UUID, float] = {}  # until when, by the loop's clock
        self._tasks = Tasks()

    async def run(
        self, key_id: UUID, steps: Generator[None, None, _Result], rest: Rest | None = None
    ) -> _Result:
        """Run a job of this key to its end; return or raise what comes of it."""
        result: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key_id, deque()).append(_Job(steps, result, rest))
        if not self._tasks:
            self._tasks.start(self._run_all(), "time-slices")
        try:
            return await result
        finally:
            del result  # an error in it would keep itself alive, by its traceback, and the body too

    async def _run_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            now = loop.time()
            self._resting = {key: until for key, until in self._resting.items() if until > now}
            key_id = next((key for key in self._waiting if key not in self._resting), None)
            if key_id is None:
                await asyncio.sleep(min(now + _LOOK_AGAIN, *self._resting.values()) - now)
                continue
            jobs = self._waiting.pop(key_id)
            spent = self._step(key_id, jobs[0])
            if jobs[0].rest is not None and (pause := jobs[0].rest(spent)) > 0:
                self._resting[key_id] = loop.time() + pause
            if jobs[0].result.done():
                jobs.popleft()
            if jobs:
                self._waiting[key_id] = jobs  # behind all others
            for _ in range(1 + min(int(spent / _ROUND_FOR), _MOST_ROUNDS)):
                await asyncio.sleep(0)

    def _step(self, key_id: UUID, job: _Job) -> float:
        """Run one step of a job, if it is still wanted; return the CPU seconds of it."""
        if job.result.cancelled():
            job.steps.close()
            return 0.0
        started = time.thread_time()
        try:
            next(job.steps)
        except StopIteration as end:
            job.result.set_result(end.value)
        except Exception as error:  # noqa: BLE001 - whoever waits for the job handles it
            job.result.set_exception(error)
            del job  # likewise
        spent = time.thread_time() - started
        self._charge(key_id, spent)
        return spent
