"""The observer of ingest, the engine and circuit breakers, which metrics implement."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from hookline.domain.health import HealthState
from hookline.errors import HooklineError
from hookline.queue.port import Claimed, Settlement


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What became of one accepted event: its id, or the id of the same event sent before."""

    event_id: UUID
    duplicate: bool
    deliveries: int


class AttemptObserver(Protocol):
    """Is told of attempts."""

    def attempted(self, job: Claimed, settlement: Settlement) -> None:
        """Take note of an attempt that ended, whether or not its outcome is written yet."""


class Observer(AttemptObserver, Protocol):
    """Is told of everything, in the event loop: it returns at once, and never raises."""

    def accepted(self, receipts: Sequence[Receipt]) -> None:
        """Take note of a caller's events that were answered."""

    def refused(self, error: HooklineError, events: int) -> None:
        """Take note of so many events that were not taken."""

    def health_changed(self, state: HealthState) -> None:
        """Take note of an integration's new state, once this process has written it."""


class NoObserver:
    """Takes note of nothing."""

    def attempted(self, job: Claimed, settlement: Settlement) -> None:
        """See `AttemptObserver`."""

    def accepted(self, receipts: Sequence[Receipt]) -> None:
        """See `Observer`."""

    def refused(self, error: HooklineError, events: int) -> None:
        """See `Observer`."""

    def health_changed(self, state: HealthState) -> None:
        """See `Observer`."""
