"""Tells integrations what became of others: the events of the group `service`.

They are ordinary events, stored and delivered as those of PBXs are. What is on its way here when a
process dies is not told; the health itself is in the database, and in the API.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final
from uuid import UUID

import orjson

from hookline.db.reconnect import once_back
from hookline.domain.deliveries import ErrorKind
from hookline.domain.events import Event, Limits, parse_event
from hookline.domain.health import Health, HealthState
from hookline.errors import Overloaded
from hookline.integrations.subscriptions import Subscription, Subscriptions
from hookline.logs import get_logger

_MOST_WAITING = 10_000  # notices; more than integrations change their state while Postgres is away
_MOST_EXAMPLES = 10  # ids of deliveries in one notice
_GROUPED_OVER = 60.0  # seconds between two notices of exhausted deliveries of one integration
_LOOK_EVERY = 1.0  # seconds between looks for groups that are due
_NO_COMPANY: Final = "unknown"  # an envelope has a company; here nobody ever said which
_MILLISECONDS = 1000  # in a second: envelopes count those
_LOG = get_logger(__name__)

Data = dict[str, object]


@dataclass(slots=True)
class _Exhausted:
    """What is to be told of one integration's exhausted deliveries."""

    due_at: float
    count: int = 0
    examples: list[str] = field(default_factory=list)
    error: ErrorKind | None = None


class Notices:
    """Makes notices and has them accepted, in order; `run` is a task of its owner's."""

    def __init__(
        self, subscriptions: Subscriptions, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._subscriptions = subscriptions
        self._clock = clock
        self._waiting: deque[Event] = deque(maxlen=_MOST_WAITING)
        self._exhausted: dict[str, _Exhausted] = {}

    def paused(self, integration_id: str, health: Health) -> None:
        """Tell that an integration's deliveries wait from now on."""
        self._tell("integration:paused", integration_id, _fares(HealthState.PAUSED, health))

    def recovered(self, integration_id: str, before: Health) -> None:
        """Tell that a paused integration takes deliveries again."""
        self._tell("integration:recovered", integration_id, _fares(HealthState.HEALTHY, before))

    def disabled(self, integration_id: str, reason: str, health: Health) -> None:
        """Tell that Hookline switched an integration off."""
        data = _fares(HealthState.DISABLED, health) | {"reason": reason}
        self._tell("integration:disabled", integration_id, data)

    def exhausted(self, integration_id: str, delivery_id: UUID, error: ErrorKind | None) -> None:
        """Note that a delivery failed for good; many are told of at once, a minute apart."""
        group = self._exhausted.get(integration_id)
        if group is None:
            group = self._exhausted[integration_id] = _Exhausted(due_at=self._clock())
        group.count += 1
        group.error = error
        if len(group.examples) < _MOST_EXAMPLES:
            group.examples.append(str(delivery_id))

    async def run(self, accept: Callable[[Sequence[Event]], Awaitable[object]]) -> None:
        """Have notices accepted until cancelled."""
        while True:
            try:
                await self.send(accept)
            except Exception:  # noqa: BLE001 - the loop must go on: others want their notices
                _LOG.exception("notices.failed")
            await asyncio.sleep(_LOOK_EVERY)

    async def send(self, accept: Callable[[Sequence[Event]], Awaitable[object]]) -> None:
        """Have everything accepted that is due, waiting for a database that is away."""
        self._tell_of_exhausted()
        while self._waiting:
            event = self._waiting[0]
            try:
                await once_back(partial(accept, [event]))
            except Overloaded:
                return  # it stays first in line
            self._waiting.popleft()

    def _tell_of_exhausted(self) -> None:
        now = self._clock()
        for integration_id, group in list(self._exhausted.items()):
            if now < group.due_at:
                continue
            if not group.count:
                del self._exhausted[integration_id]
                continue
            data: Data = {
                "count": group.count,
                "deliveryIds": group.examples,
                "lastError": group.error,
            }
            self._tell("delivery:exhausted", integration_id, data)
            self._exhausted[integration_id] = _Exhausted(due_at=now + _GROUPED_OVER)

    def _tell(self, name: str, integration_id: str, data: Data) -> None:
        about = self._subscriptions.find(integration_id)
        _LOG.info(name.replace(":", "."), integration=integration_id, **data)
        if about is not None:  # deleted meanwhile: nobody is concerned any more
            self._waiting.append(self._event(name, about, data))

    def _event(self, name: str, about: Subscription, data: Data) -> Event:
        known = self._subscriptions.company_of(about.pbx) if about.pbx is not None else None
        envelope = {
            "id": about.integration_id,
            "pbx": about.pbx,
            "company": about.company or known or _NO_COMPANY,
            "time": int(datetime.now(UTC).timestamp() * _MILLISECONDS),
            "type": name,
            "data": {"integrationId": about.integration_id, "name": about.name, **data},
        }
        return parse_event(orjson.dumps(envelope), Limits())


def _fares(state: HealthState, health: Health) -> Data:
    since = health.failing_since
    return {
        "state": state,
        "reason": None,
        "since": None if since is None else since.isoformat(timespec="milliseconds"),
        "lastError": health.last_error,
    }
