import asyncio
import os
import signal

import pytest

from hookline.server.signals import Stopping, run_until_stopped

BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


def signalled(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_a_run_that_ends_by_itself_ends_well() -> None:
    async def main(_stopping: Stopping) -> None:
        await asyncio.sleep(0)

    assert run_until_stopped(main) == 0


@BOTH
def test_a_signal_before_anything_is_open_cancels_the_start(number: signal.Signals) -> None:
    closed: list[str] = []

    async def main(_stopping: Stopping) -> None:
        signalled(number)
        try:
            await asyncio.Event().wait()
        finally:
            closed.append("start")

    assert run_until_stopped(main) == 0
    assert closed == ["start"]


@BOTH
def test_the_first_signal_asks_and_what_is_under_way_is_finished(number: signal.Signals) -> None:
    finished: list[str] = []

    async def main(stopping: Stopping) -> None:
        asked = asyncio.Event()
        stopping.asks(asked.set)
        signalled(number)
        await asked.wait()
        await asyncio.sleep(0)
        finished.append("delivery")

    assert run_until_stopped(main) == 0
    assert finished == ["delivery"]


def test_the_second_signal_does_not_wait_and_still_closes() -> None:
    closed: list[str] = []

    async def main(stopping: Stopping) -> None:
        stopping.asks(lambda: signalled(signal.SIGINT))
        signalled(signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            closed.append("database")

    assert run_until_stopped(main) == 130
    assert closed == ["database"]


def test_an_error_is_not_taken_for_a_stop() -> None:
    async def main(_stopping: Stopping) -> None:
        raise LookupError("a fault")

    with pytest.raises(LookupError):
        run_until_stopped(main)
