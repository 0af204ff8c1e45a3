"""What Hookline tells of an integration: the events of the group `service`, as values.

A notice is written down first and becomes an event later, from what was written alone. However
often it is made, its bytes are the same, so ingest knows it again.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from hookline.domain.deliveries import ErrorKind
from hookline.domain.events import Event, Limits, parse_event
from hookline.domain.health import Health, HealthState

MOST_EXAMPLES: Final = 10  # ids of deliveries in one notice
_NO_COMPANY: Final = "unknown"  # an envelope has a company; here nobody ever said which
_MILLISECONDS: Final = 1000  # in a second: envelopes count those

Data = dict[str, object]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell of an integration; `data` is what the type says of it."""

    type: str
    integration_id: str
    data: Data


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Deliveries that failed for good: how many, the first few, and what the last one ran into."""

    count: int = 0
    examples: tuple[str, ...] = ()
    error: ErrorKind | None = None

    def followed_by(self, later: "Exhausted") -> "Exhausted":
        """Return both together."""
        examples = (self.examples + later.examples)[:MOST_EXAMPLES]
        return Exhausted(self.count + later.count, examples, later.error)


@dataclass(frozen=True, slots=True)
class WrittenNotice:
    """A notice as it was written down, with the tenant and the name that it tells of."""

    id: int
    notice: Notice
    name: str
    pbx: str | None
    company: str | None
    told_at: datetime

    def event(self) -> Event:
        """Return the event: equal bytes for an equal row."""
        about = self.notice.integration_id
        envelope = {
            "id": about,
            "pbx": self.pbx,
            "company": self.company or _NO_COMPANY,
            "time": int(self.told_at.timestamp() * _MILLISECONDS),
            "type": self.notice.type,
            "data": {"integrationId": about, "name": self.name, **self.notice.data},
        }
        return parse_event(orjson.dumps(envelope), Limits())


def paused(integration_id: str, health: Health) -> Notice:
    """Tell that an integration's deliveries wait from now on."""
    return Notice("integration:paused", integration_id, _fares(HealthState.PAUSED, health))


def recovered(integration_id: str, before: Health) -> Notice:
    """Tell that a paused integration takes deliveries again."""
    return Notice("integration:recovered", integration_id, _fares(HealthState.HEALTHY, before))


def disabled(integration_id: str, reason: str, by: str, health: Health) -> Notice:
    """Tell that an integration was switched off, why and by whom, and how it fared until then."""
    data = _fares(HealthState.DISABLED, health) | {"reason": reason, "disabledBy": by}
    return Notice("integration:disabled", integration_id, data)


def exhausted(integration_id: str, deliveries: Exhausted) -> Notice:
    """Tell of deliveries that failed for good."""
    data: Data = {
        "count": deliveries.count,
        "deliveryIds": deliveries.examples,
        "lastError": deliveries.error,
    }
    return Notice("delivery:exhausted", integration_id, data)


def _fares(state: HealthState, health: Health) -> Data:
    since = health.failing_since
    return {
        "state": state,
        "reason": None,
        "disabledBy": None,
        "since": None if since is None else _timestamp(since),
        "lastError": health.last_error,
    }


def _timestamp(moment: datetime) -> str:
    """Write it as JavaScript does, and as the examples of these types have it."""
    told = moment.astimezone(UTC).replace(tzinfo=None)
    return f"{told.isoformat(timespec='milliseconds')}Z"
