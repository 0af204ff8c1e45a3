"""Opens and closes the lanes of targets that are down: one round after another.

A round shares what attempts told, puts aside what paused lanes hold, and lets probes go: of all
processes one probes a target at a time, and only where something waits for it.
"""

import asyncio
from collections.abc import Callable, Sequence

from hookline.dispatch.health import HealthWatch
from hookline.dispatch.lanes import Lanes
from hookline.errors import Unavailable
from hookline.logs import get_logger
from hookline.queue.port import Claimed

_BREATHER = 0.2  # seconds between two rounds at the least, however many hints come
_LOG = get_logger(__name__)


class Circuits:
    """The rounds of one engine. `give_back` returns leases unused, `wake` has the engine look."""

    def __init__(
        self,
        watch: HealthWatch,
        lanes: Lanes,
        *,
        give_back: Callable[[Sequence[Claimed]], None],
        wake: Callable[[], None],
    ) -> None:
        self._watch = watch
        self._lanes = lanes
        self._give_back = give_back
        self._wake = wake
        self._hint = asyncio.Event()

    def soon(self) -> None:
        """Have a round soon: somebody changed something."""
        self._hint.set()

    async def run(self, interval: float) -> None:
        """Have a round every `interval` seconds, or when one is hinted at, until cancelled."""
        while True:
            try:
                await self.round()
            except Unavailable:
                _LOG.warning("circuits.database_away")
            except Exception:  # noqa: BLE001 - without rounds a paused target stays so for ever
                _LOG.exception("circuits.failed")
            await asyncio.sleep(min(_BREATHER, interval))
            try:
                async with asyncio.timeout(interval):
                    await self._hint.wait()
            except TimeoutError:
                continue
            finally:
                self._hint.clear()

    async def round(self) -> None:
        """Share and learn, put aside what is paused, let probes go. Raises Unavailable."""
        resumed = await self._watch.exchange()
        self._give_back(self._lanes.set_aside(self._watch.paused() | resumed))
        due = self._lanes.with_work_due(self._watch.probes_due())
        probes = await self._watch.take_probes(due) if due else set()
        for integration_id in probes:
            self._lanes.let_probe(integration_id)
        if resumed or probes:
            self._wake()
