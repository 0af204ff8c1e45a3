"""Who is told what ingest, the engine and the circuit breakers did: metrics implement it."""

from typing import TYPE_CHECKING, Protocol

from hookline.domain.health import HealthState
from hookline.errors import HooklineError
from hookline.queue.port import Claimed, Settlement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookline.dispatch.ingest import Receipt


class AttemptObserver(Protocol):
    """Is told of attempts."""

    def attempted(self, job: Claimed, settlement: Settlement) -> None:
        """Take note of an attempt that ended, whether or not its outcome is written yet."""


class Observer(AttemptObserver, Protocol):
    """Is told of everything, in the event loop: it returns at once, and never raises."""

    def accepted(self, receipts: "Sequence[Receipt]") -> None:
        """Take note of a caller's events that were answered."""

    def refused(self, error: HooklineError, events: int) -> None:
        """Take note of so many events that were not taken."""

    def health_changed(self, state: HealthState) -> None:
        """Take note of an integration's new state, once this process has written it."""


class NoObserver:
    """Takes note of nothing."""

    def attempted(self, job: Claimed, settlement: Settlement) -> None:
        """See `AttemptObserver`."""

    def accepted(self, receipts: "Sequence[Receipt]") -> None:
        """See `Observer`."""

    def refused(self, error: HooklineError, events: int) -> None:
        """See `Observer`."""

    def health_changed(self, state: HealthState) -> None:
        """See `Observer`."""
