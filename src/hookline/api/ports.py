"""What routes call besides the records' services: the runtime fills these in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hookline.dispatch.test_delivery import Tested
from hookline.metrics.system import SystemReport


class Tester(Protocol):
    """Sends the catalogue's example of a type to an integration, once and now."""

    async def test(self, integration_id: str, event_type: str) -> Tested:
        """Send and wait for the outcome.

        Raises NotFound where the integration is gone meanwhile, and Overloaded while as many are
        under way as may be.
        """


class Metrics(Protocol):
    """Knows how the service fares, in numbers."""

    async def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""


class System(Protocol):
    """Knows how the whole service fares."""

    async def report(self) -> SystemReport:
        """Return how it fares, now or a moment ago. Raises Unavailable."""


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
