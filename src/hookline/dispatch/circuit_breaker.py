"""Circuit breakers: pause the lanes of targets that are down, and probe these until they recover.

Attempts are judged in memory; what they call for is written once in a round, in one transaction for
all integrations, and every round learns what all processes know. So a target that goes up and down
with every attempt costs one write a round, and a thousand of them cost one too.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from hookline.dispatch.lanes import Lanes
from hookline.dispatch.notices import ExhaustedCounter
from hookline.dispatch.observer import Observer
from hookline.domain.deliveries import Failed, FailReason, Sent
from hookline.domain.health import (
    HEALTHY,
    NO_RUN,
    Attempt,
    Disable,
    Evidence,
    Fail,
    HealthRules,
    HealthState,
    Pause,
    Recover,
    Run,
    evidence_of,
    judge,
)
from hookline.integrations.health import HealthRecords, Known
from hookline.integrations.subscriptions import Subscriptions
from hookline.queue.port import Claimed, Settlement

_UNKNOWN = Known(HEALTHY)
_LEADS_TO: Final = {
    Fail: HealthState.FAILING,
    Pause: HealthState.PAUSED,
    Recover: HealthState.HEALTHY,
}


class HealthMonitor:
    """Judges attempts by the rules, and shares the steps that they call for.

    `disable` switches an integration off that has failed since then; `exhausted` counts deliveries
    that failed for good.
    """

    def __init__(  # noqa: PLR0913 - the composition root hands over each part by name
        self,
        records: HealthRecords,
        rules: HealthRules,
        subscriptions: Subscriptions,
        exhausted: ExhaustedCounter,
        *,
        disable: Callable[[str, datetime], Awaitable[bool]],
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._rules = rules
        self._subscriptions = subscriptions
        self._exhausted = exhausted
        self._disable = disable
        self._observer = observer
        self._clock = clock
        self._known: dict[str, Known] = {}
        self._known_at = 0.0
        self._runs: dict[str, Run] = {}
        self._steps: dict[str, Fail | Pause | Recover | Disable] = {}

    def attempted(self, job: Claimed, settlement: Settlement) -> None:
        """Take an attempt's result into account; returns at once."""
        if settlement.sent is None:
            return
        self._judge(job.integration_id, settlement.sent)
        exhausted = settlement.outcome == Failed(FailReason.EXHAUSTED)
        if exhausted and not self._subscriptions.reserves(job.event.type):
            self._exhausted.count(job.integration_id, job.id, settlement.sent.error)

    def is_paused(self, integration_id: str) -> bool:
        """Whether an integration's deliveries wait, but for a probe now and then."""
        known = self._known.get(integration_id)
        return known is not None and known.health.state is HealthState.PAUSED

    def paused(self) -> set[str]:
        """Return every integration that is paused."""
        return {each for each in self._known if self.is_paused(each)}

    def probes_due(self) -> list[str]:
        """Return the paused integrations that may be probed now, as far as this process knows."""
        passed = self._clock() - self._known_at
        return [each for each, known in self._known.items() if known.probe_in <= passed]

    async def take_probes(self, integration_ids: list[str]) -> set[str]:
        """Return those that this process, and no other, is to probe now. Raises Unavailable."""
        return await self._records.take_probes(integration_ids)

    async def sync(self) -> set[str]:
        """Write what attempts called for, learn what all processes know; return what is resumed.

        Raises Unavailable; what was to be written is kept for the next round.
        """
        await self._write()
        await self._exhausted.flush()
        before = self.paused()
        asked_at = self._clock()
        known = await self._records.load()
        for integration_id in self._known.keys() - known.keys():
            self._runs.pop(integration_id, None)  # it recovered, or was enabled: count anew
        self._known, self._known_at = known, asked_at
        self._forget_deleted()
        return before - self.paused()

    def _judge(self, integration_id: str, sent: Sent) -> None:
        evidence = evidence_of(sent.verdict)
        if evidence is Evidence.GOOD and integration_id not in self._known:
            if self._runs:  # the usual case: all is well, and nothing is to be done
                self._runs.pop(integration_id, None)
                self._steps.pop(integration_id, None)
            return
        attempt = Attempt(evidence, sent.error, datetime.now(UTC))
        health = self._known.get(integration_id, _UNKNOWN).health
        run, step = judge(health, self._runs.get(integration_id, NO_RUN), attempt, self._rules)
        if run is NO_RUN:
            self._runs.pop(integration_id, None)
        else:
            self._runs[integration_id] = run
        if step is not None:
            self._steps[integration_id] = step

    async def _write(self) -> None:
        if not self._steps:
            return
        taken = dict(self._steps)
        shared = {key: step for key, step in taken.items() if not isinstance(step, Disable)}
        if shared:
            for integration_id in await self._records.take(shared):
                self._observer.health_changed(_LEADS_TO[type(shared[integration_id])])
            self._forget(shared, taken)
        for integration_id, step in taken.items():
            if isinstance(step, Disable):
                if await self._disable(integration_id, step.since):
                    self._observer.health_changed(HealthState.DISABLED)
                self._forget([integration_id], taken)

    def _forget(
        self, written: Iterable[str], taken: dict[str, Fail | Pause | Recover | Disable]
    ) -> None:
        """Drop steps that are written, unless attempts called for another one meanwhile."""
        for integration_id in written:
            if self._steps.get(integration_id) is taken[integration_id]:
                del self._steps[integration_id]

    def _forget_deleted(self) -> None:
        for integration_id in list(self._runs):
            if self._subscriptions.find(integration_id) is None:
                del self._runs[integration_id]


class CircuitBreakers:
    """The circuit breakers of one engine's lanes.

    Of all processes one probes a target at a time, and only where something waits for it. `release`
    returns leases unused, `wake` has the engine look for work.
    """

    def __init__(
        self,
        health: HealthMonitor,
        lanes: Lanes,
        *,
        release: Callable[[Sequence[Claimed]], None],
        wake: Callable[[], None],
    ) -> None:
        self._health = health
        self._lanes = lanes
        self._release = release
        self._wake = wake

    async def run_once(self) -> None:
        """Sync the health, release what paused lanes hold, start probes. Raises Unavailable."""
        resumed = await self._health.sync()
        changed = self._health.paused() | resumed
        self._lanes.update_rules(changed)
        self._release(self._lanes.reset(changed))
        due = self._lanes.schedule.with_work_due(self._health.probes_due())
        probes = await self._health.take_probes(due) if due else set()
        for integration_id in probes:
            self._lanes.allow_probe(integration_id)
        if resumed or probes:
            self._wake()
