"""What every sink takes and promises; tests/sinks/contract.py holds each one to it."""

from typing import Protocol
from uuid import UUID

import msgspec

from hookline.domain.deliveries import ErrorKind, Sent
from hookline.domain.targets import Target


class Shipment(msgspec.Struct, frozen=True, gc=False):
    """One copy of one event on its way to one target; every attempt ships the same bytes."""

    delivery_id: UUID
    body: bytes  # canonical JSON, `integrationId` in place, never re-serialised
    target: Target
    event_type: str
    subject: str  # the envelope's `id`: all events of one call share it
    pbx: str | None
    company: str
    replay: UUID | None = None  # the job that sends it again
    attempt: int = 1  # this one's number
    retry_reason: ErrorKind | None = None  # what went wrong with the attempt before it
    trace_context: str | None = None  # of this attempt, where traces are on
    tells_headers: bool = False  # what comes of it says which headers were sent

    def __repr__(self) -> str:
        """Show what it is, and nothing of what it says."""
        return f"Shipment({self.delivery_id!s}, {self.event_type!r}, to {self.target!r})"


class Sink(Protocol):
    """One way out.

    `send` makes exactly one attempt, ends by its deadline, reads a bounded answer and never raises
    for anything that the target does: that is a `Sent`. It raises only `CancelledError`.
    """

    async def send(self, shipment: Shipment) -> Sent:
        """Sign the body for its target, send it once and say what came of it."""

    async def forget(self, target: Target) -> None:
        """Close what is kept open for a target that was changed or deleted."""

    async def aclose(self) -> None:
        """Close every connection; nothing is sent afterwards."""
