"""Parts whose work is counted: each does what it is made of, and tells what came of it.

They sit where results are known already, so that neither the engine nor ingest knows of counting.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from hookline.dispatch.ingest import Accepts, Receipt, Stale
from hookline.domain.deliveries import SkipReason
from hookline.domain.events import Event
from hookline.domain.health import Fail, Health, HealthRules, HealthState, Pause, Recover
from hookline.errors import HooklineError, QuotaExceeded
from hookline.integrations.event_types import UnknownTypes
from hookline.integrations.health import HealthRecords
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService, Refresh
from hookline.metrics.counts import Counts
from hookline.queue.port import Settlement
from hookline.queue.postgres import PostgresQueue

if TYPE_CHECKING:
    import asyncpg

    from hookline.domain.catalogue import Catalogue
    from hookline.security.egress.policy import EgressPolicy
    from hookline.security.secrets import KeyRing

_LED_TO: Final = {
    Fail: HealthState.FAILING,
    Pause: HealthState.PAUSED,
    Recover: HealthState.HEALTHY,
}


class CountedIngest:
    """Accepts events, and counts what became of them."""

    def __init__(self, ingest: Accepts, counts: Counts, unknown: UnknownTypes) -> None:
        self._ingest = ingest
        self._counts = counts
        self._unknown = unknown

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """Store events of Hookline's own and have them delivered, as ingest does."""
        with self._refusals(events):
            receipts = await self._ingest.accept(events)
        self._counts.accepted(receipts)
        return receipts

    async def accept_authorised(
        self, events: Sequence[Event], revision: int
    ) -> list[Receipt] | Stale:
        """Store a caller's events and have them delivered, as ingest does."""
        with self._refusals(events):
            answer = await self._ingest.accept_authorised(events, revision)
        if not isinstance(answer, Stale):
            self._counts.accepted(answer)
            pairs = zip(events, answer, strict=True)
            self._unknown.saw(event.type for event, told in pairs if not told.duplicate)
        return answer

    @contextmanager
    def _refusals(self, events: Sequence[Event]) -> Iterator[None]:
        try:
            yield
        except HooklineError as error:
            refused = error.refused if isinstance(error, QuotaExceeded) else events
            self._counts.refused(error, len(refused))
            raise


class CountedQueue(PostgresQueue):
    """The queue; counts what has ended once that is written."""

    def __init__(
        self,
        pool: "asyncpg.Pool",
        *,
        lease_seconds: float,
        duplicate_window: timedelta,
        counts: Counts,
    ) -> None:
        super().__init__(
            pool,
            lease_seconds=lease_seconds,
            duplicate_window=duplicate_window,
            skipped=counts.skipped,
        )
        self._counts = counts

    async def settle(self, batch: Sequence[Settlement]) -> set[UUID]:
        """Write what became of leased deliveries."""
        ours = await super().settle(batch)
        self._counts.settled(batch, ours)
        return ours

    async def skip(self, integration_id: str, reason: SkipReason, *, limit: int) -> int:
        """End deliveries that nobody holds as skipped."""
        ended = await super().skip(integration_id, reason, limit=limit)
        self._counts.skipped(reason, ended)
        return ended


class CountedHealth(HealthRecords):
    """The records of health; counts the steps that changed something."""

    def __init__(self, transactions: Transactions, rules: HealthRules, *, counts: Counts) -> None:
        super().__init__(transactions, rules)
        self._counts = counts

    async def take(self, steps: Mapping[str, Fail | Pause | Recover]) -> dict[str, Health]:
        """Take these steps in one transaction."""
        changed = await super().take(steps)
        for integration_id in changed:
            self._counts.changed(_LED_TO[type(steps[integration_id])])
        return changed


class CountedIntegrations(IntegrationService):
    """The integrations' service; counts what Hookline itself switches off."""

    def __init__(  # noqa: PLR0913 - the composition root hands over each part by name
        self,
        transactions: Transactions,
        keyring: "KeyRing",
        policy: "EgressPolicy",
        catalogue: "Catalogue",
        *,
        most_per_pbx: int,
        refresh: Refresh,
        counts: Counts,
    ) -> None:
        super().__init__(
            transactions, keyring, policy, catalogue, most_per_pbx=most_per_pbx, refresh=refresh
        )
        self._counts = counts

    async def disable_gone(self, integration_id: str, url: str) -> bool:
        """Switch an integration off whose target answered 410."""
        return self._told(await super().disable_gone(integration_id, url))

    async def disable_failing(self, integration_id: str, since: datetime) -> bool:
        """Switch an integration off that has failed since then."""
        return self._told(await super().disable_failing(integration_id, since))

    def _told(self, done: bool) -> bool:  # noqa: FBT001 - the answer, its only argument
        if done:
            self._counts.changed(HealthState.DISABLED)
        return done
