"""Something done again and again: at an interval, and soon after a hint.

A round that fails is logged, and the next one tries again.
"""

import asyncio
from collections.abc import Awaitable, Callable

from hookline.errors import Overloaded, Unavailable
from hookline.logs import get_logger

_BREATHER = 0.2  # seconds between two rounds at the least, however many hints come
_LOG = get_logger(__name__)


class Rounds:
    """Rounds of one kind; `name` is for the log. `run` is a task of its owner's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._hint = asyncio.Event()

    def soon(self) -> None:
        """Have a round soon: somebody changed something."""
        self._hint.set()

    async def run(self, a_round: Callable[[], Awaitable[None]], interval: float) -> None:
        """Have a round every `interval` seconds, or when one is hinted at, until cancelled."""
        while True:
            try:
                await a_round()
            except (Overloaded, Unavailable) as error:
                _LOG.warning(f"{self._name}.waiting", reason=str(error))
            except Exception:  # noqa: BLE001 - the loop must go on: without rounds nothing mends itself
                _LOG.exception(f"{self._name}.failed")
            await asyncio.sleep(min(_BREATHER, interval))
            try:
                async with asyncio.timeout(interval):
                    await self._hint.wait()
            except TimeoutError:
                continue
            finally:
                self._hint.clear()
