"""Deadlines of one length, for what is done thousands of times a second.

`asyncio.timeout` sets a timer, and cancels it again, for each use. Deadlines of equal length run
out in the order in which they began, so one timer for the first of them does.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self


class Deadlines:
    """Ends what takes longer than `seconds` with TimeoutError: `with deadlines.start(): …`.

    As with `asyncio.timeout`, the task is cancelled where it waits, and a cancellation that came
    from somebody else goes on as such. Who catches the cancellation and finds the deadline
    `expired` may leave with a result. For use in one event loop.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun: deque[Deadline] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> "Deadline":
        """Return what the task that enters it must leave in time; the time runs from now."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for a task")
        loop = asyncio.get_running_loop()
        deadline = Deadline(self, task, loop.time() + self._seconds)
        self._begun.append(deadline)
        if self._timer is None:
            self._timer = loop.call_at(deadline.at, self._look)
        return deadline

    def tidy(self) -> None:
        """Let go of what has ended, from the first on."""
        begun = self._begun
        while begun and begun[0].task is None:
            begun.popleft()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        now = loop.time()
        while self._begun and (self._begun[0].task is None or self._begun[0].at <= now):
            self._begun.popleft().run_out()
        if self._begun:
            self._timer = loop.call_at(self._begun[0].at, self._look)


class Deadline:
    """One use of `Deadlines`."""

    __slots__ = ("_asked", "_of", "_ran_out", "at", "task")

    def __init__(self, of: Deadlines, task: asyncio.Task[object], at: float) -> None:
        self._of = of
        self._asked = task.cancelling()
        self._ran_out = False
        self.task: asyncio.Task[object] | None = task  # None: it has left
        self.at = at

    @property
    def expired(self) -> bool:
        """Whether the task was cancelled because its time is over, and by nobody else."""
        return self._ran_out and self.task is not None and self.task.cancelling() == self._asked + 1

    def run_out(self) -> None:
        """Cancel the task, unless it has left."""
        if self.task is not None:
            self._ran_out = True
            self.task.cancel()

    def __enter__(self) -> Self:
        """Begin: the time has been running since `start`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave in time, or raise TimeoutError."""
        task, self.task = self.task, None
        self._of.tidy()
        if self._ran_out and task is not None:
            others = task.uncancel() > self._asked
            if kind is asyncio.CancelledError and not others:
                raise TimeoutError from error
