"""What each lane is allowed: read from records, health and concurrency shares when they change."""

import asyncio
from collections.abc import Sequence

from hookline.dispatch.health import HealthWatch
from hookline.dispatch.lane import LaneRules
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.shares import Shares
from hookline.integrations.subscriptions import Subscription, Subscriptions

_DELETED_WIDTH = 64  # attempts at once that end what is left of a deleted integration


class IntegrationRules:
    """Makes the lanes of a process, and updates their rules at every change.

    Whoever is told of a change calls: subscriptions `integration_changed`, the engine membership
    `engines_counted`; the circuits update the lanes that they pause and resume.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        watch: HealthWatch,
        *,
        most_held: int,
        most_bytes: int,
        shares: Shares | None = None,
    ) -> None:
        self._subscriptions = subscriptions
        self._watch = watch
        self._shares = shares or Shares()
        self.lanes = Lanes(
            self._rules_of, subscriptions.owner_of, most_held=most_held, most_bytes=most_bytes
        )

    def integration_changed(self, before: Subscription | None, after: Subscription | None) -> None:
        """Update the lane of an integration that was created, changed or deleted."""
        changed = before or after
        if changed is not None:
            self.lanes.update_rules([changed.integration_id])

    def engines_counted(self, mine: int, places: Sequence[int]) -> None:
        """Divide the lanes among the engines that are present; see `Shares.learn`."""
        if self._shares.learn(mine, places):
            self._update_all()

    def _update_all(self) -> None:
        wait = self._shares.joining_for()  # before the rules are read: it may end meanwhile
        self.lanes.update_rules()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._update_all)

    def _rules_of(self, integration_id: str) -> LaneRules:
        known = self._subscriptions.find(integration_id)
        term = self._shares.term(integration_id)
        if known is None:
            return LaneRules(_DELETED_WIDTH, ordered=False, elsewhere=not term, term=term)
        paused, rate_limit = self._watch.is_paused(integration_id), known.rate_limit
        if not known.enabled:  # neither paused nor limited: what waits for it ends as skipped
            paused, rate_limit = False, None
        return LaneRules(
            known.max_in_flight,
            known.ordered,
            paused,
            rate_limit,
            keeps_latest=known.keeps_latest,
            elsewhere=not term,
            term=term,
        )
