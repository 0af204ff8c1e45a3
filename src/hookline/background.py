"""Background work: periodic, debounced, in slices, started again; and who owns the tasks."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AsyncExitStack
from typing import Any, Final, Protocol, TypeVar

from hookline.errors import Overloaded, Unavailable
from hookline.logs import get_logger

_SHORTEST_PAUSE = 0.2  # seconds between two calls of periodic work, however many hints come
_DEBOUNCED_FOR = 0.02  # seconds
_RETRY_AFTER = 1.0  # seconds until debounced work is tried again while the database is away
_FIRST_PAUSE = 0.25  # seconds before a program that died soon is started again; doubles
_LONGEST_PAUSE = 15.0  # a disk that was full is noticed this soon after it is not
_SLICE: Final = 0.000_5  # seconds of work at once, between two rounds of the event loop
_ROUNDS: Final = 8  # of the event loop for a slice; a request takes a dozen
_MOST_ROUNDS: Final = 64  # after one step that took many times as long
_LOG = get_logger(__name__)

_Result = TypeVar("_Result")

Seconds = float | Callable[[], float]
"""A length of time, or what returns it anew each time."""


class Periodic:
    """Calls `work` at an interval, and soon after a hint. `run` is a task of its owner's.

    Work that fails is logged, and done again when it is due next. The first call comes after
    `first_after` seconds. `name` is for the log and for the task.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        interval: Seconds,
        *,
        first_after: float = 0.0,
    ) -> None:
        self.name = name
        self._work = work
        self._interval = interval
        self._first_after = first_after
        self._hint = asyncio.Event()

    def soon(self) -> None:
        """Have the work done soon: something changed."""
        self._hint.set()

    async def run(self) -> None:
        """Do the work again and again, until cancelled."""
        if self._first_after:
            await asyncio.sleep(self._first_after)
        while True:
            try:
                await self._work()
            except (Overloaded, Unavailable) as error:
                _LOG.warning("background.postponed", work=self.name, reason=str(error))
            except Exception:  # noqa: BLE001 - the loop must go on: nothing else does this work
                _LOG.exception("background.failed", work=self.name)
            await self._wait()

    async def _wait(self) -> None:
        interval = self._interval if isinstance(self._interval, float) else self._interval()
        least = min(_SHORTEST_PAUSE, interval)
        await asyncio.sleep(least)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval - least):
                await self._hint.wait()
        self._hint.clear()


class Debounced:
    """Gathers many requests for the same work into few calls of it.

    Work that finds the database away is tried again until it is done.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        self._name = name
        self._work = work
        self._wanted = False
        self._closing = False
        self._tasks = Tasks()

    def soon(self) -> None:
        """Have the work done soon; returns at once."""
        self._wanted = True
        if not self._tasks:
            self._tasks.start(self._run(), self._name)

    async def aclose(self) -> None:
        """Finish what was asked for; where the database is away, it is left."""
        self._closing = True
        await self._tasks.join()

    async def _run(self) -> None:
        while self._wanted:
            self._wanted = False
            pause = _DEBOUNCED_FOR
            try:
                await self._work()
            except Unavailable as error:
                _LOG.warning("background.postponed", work=self._name, reason=str(error))
                self._wanted, pause = not self._closing, _RETRY_AFTER
            except Exception:  # noqa: BLE001 - nobody waits for this task
                _LOG.exception("background.failed", work=self._name)
            await asyncio.sleep(0 if self._closing else pause)


class Slices:
    """Runs long jobs of the event loop's own in short slices; several take turns.

    Between two slices the loop goes round for others, more often after a slice that took longer;
    where they have nothing to do that takes no time.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, steps: Generator[None, None, _Result]) -> _Result:
        """Run a job to its end; return or raise what comes of it."""
        while True:
            async with self._turn:
                started = time.perf_counter()
                try:
                    while (spent := time.perf_counter() - started) < _SLICE:
                        next(steps)
                except StopIteration as end:
                    result: _Result = end.value
                    return result
                for _ in range(min(int(spent / _SLICE * _ROUNDS), _MOST_ROUNDS)):
                    await asyncio.sleep(0)


def run_at_once(steps: Generator[None, None, _Result]) -> _Result:
    """Run a job that comes in steps without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _Result = end.value
            return result


class Tasks:
    """Owns tasks: an error that ends one is logged at once, and closing ends those that run.

    Where they are `essential`, the process is asked to stop as well: a loop that died would be
    missed by nobody until deliveries were late, so better the process ends, and whoever supervises
    it starts it again. Closing then raises what it died of.
    """

    def __init__(self, *, essential: bool = False) -> None:
        self._essential = essential
        self._running: set[asyncio.Task[None]] = set()
        self.errors: list[BaseException] = []  # what essential tasks died of

    def __len__(self) -> int:
        """How many run."""
        return sum(not task.done() for task in self._running)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` in a task of its own."""
        task = asyncio.create_task(work, name=name)  # noqa: TID251 - here they are owned
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def wait(self) -> None:
        """Return when each of those that run now has ended."""
        if self._running:
            await asyncio.wait(self._running)

    async def join(self) -> None:
        """Return when none runs, those included that are started meanwhile."""
        while self._running:
            await self.wait()

    async def aclose(self) -> None:
        """Cancel what runs, and wait for its end."""
        running = [*self._running]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for error in self.errors:
            raise error

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not self._essential:
            _LOG.error("background.died", task=task.get_name(), exc_info=error)
            return
        self.errors.append(error)
        _LOG.critical("background.died", task=task.get_name(), exc_info=error)
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # somebody drains and closes
            signal.raise_signal(signal.SIGTERM)


class RestartPauses:
    """How long to wait before a program that ended is started again.

    One that lived for `steady_after` seconds did not die of its start, and is started at once.
    Otherwise each pause is twice the last one, up to 15 seconds.
    """

    def __init__(self, *, steady_after: float) -> None:
        self._steady_after = steady_after
        self.next = 0.0  # seconds, where it dies of its start

    def after(self, lived: float) -> float:
        """Return the seconds to wait, now that it lived so many seconds."""
        pause = 0.0 if lived > self._steady_after else self.next
        self.next = min(max(_FIRST_PAUSE, pause * 2), _LONGEST_PAUSE)
        return pause


class Loop(Protocol):
    """Work that runs for as long as its process."""

    @property
    def name(self) -> str:
        """What its task is called."""

    async def run(self) -> None:
        """Run until cancelled."""


def keep_running(stack: AsyncExitStack, loop: Loop) -> None:
    """Run a loop until the stack closes."""
    tasks = Tasks(essential=True)
    tasks.start(loop.run(), loop.name)
    stack.push_async_callback(tasks.aclose)
