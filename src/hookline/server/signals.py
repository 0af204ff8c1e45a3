"""Ends a run on SIGTERM and Ctrl-C: the first drains, the second cancels, the third kills."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

_FORCED = 130  # what shells report for a program that Ctrl-C ended
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """What signals do: the first stops or else cancels the run, the second cancels it."""

    def __init__(self) -> None:
        self.signals = 0
        self._insist: Callable[[], object] = _nothing
        self._ask: Callable[[], object] = _nothing

    def cancels(self, task: "asyncio.Task[None]") -> None:
        """Set the task that signals cancel."""
        self._insist = self._ask = task.cancel

    def asks(self, stop: Callable[[], object]) -> None:
        """Have the first signal call `stop` from now on, instead of cancelling."""
        self._ask = stop

    def on_signal(self) -> None:
        """Pass on one signal."""
        self.signals += 1
        if self.signals == 1:
            if sys.stderr.isatty():
                sys.stderr.write("\nStopping; what is under way is finished. Again to force it.\n")
            self._ask()
            return
        loop = asyncio.get_running_loop()
        for each in _SIGNALS:
            loop.remove_signal_handler(each)  # a third ends the process by itself
        self._insist()


def run_until_stopped(main: Callable[[Stopping], Coroutine[Any, Any, None]]) -> int:
    """Run `main` to its end or a signal's; return the exit code: 0, or 130 when forced."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_supervised(main))


async def _supervised(main: Callable[[Stopping], Coroutine[Any, Any, None]]) -> int:
    stopping = Stopping()
    task = asyncio.create_task(main(stopping), name="main")  # noqa: TID251 - starts at the await below
    stopping.cancels(task)
    for each in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(each, stopping.on_signal)
    try:
        await task
    except asyncio.CancelledError:
        if not stopping.signals:
            raise
    return _FORCED if stopping.signals > 1 else 0


def _nothing() -> None:
    """Do nothing, until there is a run."""
