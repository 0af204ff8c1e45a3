"""Opens and closes the lanes of targets that are down: one round after another.

A round shares what attempts told, puts aside what paused lanes hold, and lets probes go: of all
processes one probes a target at a time, and only where something waits for it.
"""

from collections.abc import Callable, Sequence

from hookline.dispatch.health import HealthWatch
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.rounds import Rounds
from hookline.queue.port import Claimed


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
        self._rounds = Rounds("circuits")

    def soon(self) -> None:
        """Have a round soon: somebody changed something."""
        self._rounds.soon()

    async def run(self, interval: float) -> None:
        """Have a round every `interval` seconds, or when one is hinted at, until cancelled."""
        await self._rounds.run(self.round, interval)

    async def round(self) -> None:
        """Share and learn, put aside what is paused, let probes go. Raises Unavailable."""
        resumed = await self._watch.exchange()
        changed = self._watch.paused() | resumed
        self._lanes.update_rules(changed)
        self._give_back(self._lanes.set_aside(changed))
        due = self._lanes.with_work_due(self._watch.probes_due())
        probes = await self._watch.take_probes(due) if due else set()
        for integration_id in probes:
            self._lanes.let_probe(integration_id)
        if resumed or probes:
            self._wake()
