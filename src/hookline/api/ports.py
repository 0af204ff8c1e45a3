"""What routes call besides the records' services: the runtime fills these in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from hookline.dispatch.ingest import Receipt
from hookline.domain.deliveries import Sent
from hookline.domain.events import Event


class Ingest(Protocol):
    """Accepts events durably."""

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """Store events and have them delivered; Unavailable or Overloaded: nothing is stored."""


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of a test: the body as it was sent, and the one attempt."""

    delivery_id: UUID
    event_type: str
    body: bytes
    sent: Sent


class Tester(Protocol):
    """Sends the catalogue's example of a type to an integration, once and now."""

    async def test(self, integration_id: str, event_type: str) -> Tested:
        """Send and wait for the outcome; NotFound where the integration is gone meanwhile."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be well for a process to be sent requests."""

    name: str
    ok: bool
    detail: str


class Readiness(Protocol):
    """Knows whether this process can do its work."""

    async def checks(self) -> Sequence[Check]:
        """Ask the database, its migrations and the engine; each answer within two seconds."""
