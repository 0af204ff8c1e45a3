"""Accepts events with the span of the request that brought them."""

from collections.abc import Sequence

from msgspec.structs import replace

from hookline.dispatch.ingest import Accepts, Receipt, Stale
from hookline.domain.events import Event
from hookline.tracing import Tracing


class TracedIngest:
    """Does what ingest does; attempts are then parts of the same trace, in whichever process."""

    def __init__(self, ingest: Accepts, tracing: Tracing) -> None:
        self._ingest = ingest
        self._tracing = tracing

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """See `Ingest.accept`."""
        return await self._ingest.accept(self._marked(events))

    async def accept_authorised(
        self, events: Sequence[Event], revision: int
    ) -> list[Receipt] | Stale:
        """See `Ingest.accept_authorised`."""
        return await self._ingest.accept_authorised(self._marked(events), revision)

    def _marked(self, events: Sequence[Event]) -> list[Event]:
        traceparent = self._tracing.traceparent()
        return [replace(event, traceparent=traceparent) for event in events]
