"""What each lane is allowed, and which engine has it: looked up when either changes.

Of all engines that share a database one has a lane at a time. So what it does in order is in order,
and `maxInFlight` is kept by the one that has the lane.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from hookline.dispatch.circuit_breaker import HealthMonitor
from hookline.dispatch.lane import LaneRules
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.pace import SHARE
from hookline.integrations.subscriptions import Subscription, Subscriptions

_JOINING = 3.0  # seconds that a new engine leaves the others for noticing it
_DELETED_WIDTH = 64  # attempts at once that end what is left of a deleted integration


@dataclass(slots=True)
class LaneAssignment:
    """Assigns the lanes to the engines by rendezvous hashing.

    One that comes takes its part of the others' lanes, one that goes leaves its own to the others,
    and no other lane moves. A new engine among others has none for the first seconds, so that those
    who have them notice it before. What one holds of a lane when it moves ends before the next
    engine begins (`Queue.take_over`).
    """

    clock: Callable[[], float] = time.monotonic
    _places: tuple[int, ...] = ()
    _mine: int = 0
    _term: int = 1
    _from: float = 0.0  # when it has lanes at all

    def learn(self, mine: int, places: Sequence[int]) -> bool:
        """Take a count of the engines: the places that are taken, of which `mine` is this one's.

        Tells whether any lane may have moved.
        """
        if (mine, tuple(places)) == (self._mine, self._places):
            return False
        if not self._places and len(places) > 1:
            self._from = self.clock() + _JOINING
        self._mine, self._places = mine, tuple(places)
        self._term += 1
        return True

    def joining_for(self) -> float:
        """Return how many seconds from now it still has none of the lanes that others may hold."""
        return max(0.0, self._from - self.clock()) if self._from else 0.0

    def term(self, integration_id: str) -> int:
        """Return 0 where the lane is another engine's.

        Another number than before says that others may have had it meanwhile.
        """
        if len(self._places) <= 1:
            return self._term
        if self._from:
            if self.clock() < self._from:
                return 0
            self._from = 0.0
            self._term += 1
        return self._term if self.place_of(integration_id) == self._mine else 0

    def place_of(self, integration_id: str) -> int:
        """Return the place of the engine that has a lane once all have noticed one another."""
        if len(self._places) <= 1:
            return self._mine
        return max(self._places, key=lambda place: _weight(place, integration_id))


def _weight(place: int, integration_id: str) -> bytes:
    return blake2b(f"{place} {integration_id}".encode(), digest_size=8).digest()


class IntegrationRules:
    """Makes the lanes of a process, and updates their rules at every change.

    Whoever is told of a change calls: subscriptions `integration_changed`, the engine membership
    `engines_counted`; the circuit breakers update the lanes that they pause and resume.
    """

    def __init__(  # noqa: PLR0913 - the composition root hands over each part by name
        self,
        subscriptions: Subscriptions,
        health: HealthMonitor,
        *,
        most_held: int,
        most_bytes: int,
        cpu_share: float = SHARE,
        assignment: LaneAssignment | None = None,
    ) -> None:
        self._subscriptions = subscriptions
        self._health = health
        self._assignment = assignment or LaneAssignment()
        self.lanes = Lanes(
            self._rules_of,
            subscriptions.owner_of,
            most_held=most_held,
            most_bytes=most_bytes,
            cpu_share=cpu_share,
        )

    def integration_changed(self, before: Subscription | None, after: Subscription | None) -> None:
        """Update the lane of an integration that was created, changed or deleted."""
        changed = before or after
        if changed is not None:
            self.lanes.update_rules([changed.integration_id])

    def engines_counted(self, mine: int, places: Sequence[int]) -> None:
        """Divide the lanes among the engines that are present; see `LaneAssignment.learn`."""
        if self._assignment.learn(mine, places):
            self._update_all()

    def _update_all(self) -> None:
        wait = self._assignment.joining_for()  # before the rules are read: it may end meanwhile
        self.lanes.update_rules()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._update_all)

    def _rules_of(self, integration_id: str) -> LaneRules:
        known = self._subscriptions.find(integration_id)
        term = self._assignment.term(integration_id)
        if known is None:
            return LaneRules(_DELETED_WIDTH, ordered=False, elsewhere=not term, term=term)
        paused, rate_limit = self._health.is_paused(integration_id), known.rate_limit
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
            place=self._assignment.place_of(integration_id),
        )
