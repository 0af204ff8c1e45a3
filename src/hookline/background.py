"""Background work: what is done at an interval, what is debounced, and who owns the tasks."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Protocol

from hookline.errors import Overloaded, Unavailable
from hookline.logs import get_logger

_SHORTEST_PAUSE = 0.2  # seconds between two calls of periodic work, however many hints come
_DEBOUNCED_FOR = 0.02  # seconds
_RETRY_AFTER = 1.0  # seconds until debounced work is tried again while the database is away
_LOG = get_logger(__name__)

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
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """Have the work done soon; returns at once."""
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=self._name)

    async def aclose(self) -> None:
        """Finish what was asked for; where the database is away, it is left."""
        self._closing = True
        if self._task is not None:
            await asyncio.wait([self._task])

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
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` in a task of its own."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def join(self) -> None:
        """Return when none runs, those included that are started meanwhile."""
        while self._running:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

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


class Loop(Protocol):
    """Whatever is to run for as long as its process does."""

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
