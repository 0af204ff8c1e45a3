"""One attempt: an event's copy for an integration, handed to the sink of its target."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from hookline.domain.deliveries import ErrorKind, Sent, Verdict
from hookline.domain.events import Event
from hookline.domain.omissions import without
from hookline.domain.targets import SqsTarget, Target, TransmissionType, WebhookTarget
from hookline.integrations.subscriptions import Subscription
from hookline.logs import get_logger
from hookline.sinks import Shipment, Sink

_LARGE = 64 * 1024  # bytes of an event that takes as long to print as others may wait
_MOST_COPIES = 1_024
_MOST_BYTES = 16 * 1024 * 1024  # of copies that are kept for other integrations, and for retries
_LOG = get_logger(__name__)

Omitted = tuple[str, ...] | None
"""The paths that a copy leaves out; None: it is whole."""


class Copies:
    """Events without what integrations leave out: made once for each event and list of paths."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[UUID, tuple[str, ...]], Event] = OrderedDict()
        self._bytes = 0
        self._making = asyncio.Lock()

    async def of(self, event_id: UUID, event: Event, omit: Omitted) -> Event:
        """Return the event as its copies are to be."""
        if not omit:
            return event
        key = (event_id, omit)
        if (made := self._made.get(key)) is not None:
            self._made.move_to_end(key)
            return made
        if len(event.payload) <= _LARGE:
            return self._make(key, event)
        async with self._making:  # one after another, so that others have their turn
            await asyncio.sleep(0)
            return self._made.get(key) or self._make(key, event)

    def _make(self, key: tuple[UUID, tuple[str, ...]], event: Event) -> Event:
        made = self._made[key] = without(event, key[1])
        self._bytes += len(made.payload)
        while len(self._made) > _MOST_COPIES or self._bytes > _MOST_BYTES:
            _, oldest = self._made.popitem(last=False)
            self._bytes -= len(oldest.payload)
        return made


class Sender:
    """Makes single attempts; nothing that a target, or a fault of ours, does is raised."""

    def __init__(self, sinks: Mapping[TransmissionType, Sink]) -> None:
        self._sinks = sinks
        self.copies = Copies()

    async def attempt(  # noqa: PLR0913 - what an attempt is made of
        self,
        subscription: Subscription,
        delivery_id: UUID,
        event_id: UUID,
        event: Event,
        *,
        omit: Omitted,
        number: int = 1,
        retry_reason: ErrorKind | None = None,
        replay: UUID | None = None,
    ) -> Sent:
        """Send one copy once; a fault of ours is a result as well."""
        started = datetime.now(UTC)
        try:
            target = subscription.usable_target(started)
            copy = await self.copies.of(event_id, event, omit)
            shipment = Shipment(
                delivery_id=delivery_id,
                body=copy.body_for(subscription.integration_id),
                target=target,
                event_type=event.type,
                subject=event.subject,
                pbx=event.pbx,
                company=event.company,
                traceparent=event.traceparent,
                attempt=number,
                retry_reason=retry_reason,
                replay=replay,
            )
            return await self._sinks[transmission(target)].send(shipment)
        except Exception:  # noqa: BLE001 - a fault of ours must end as an outcome as well
            _LOG.exception("delivery.internal_error", delivery=str(delivery_id))
            took = datetime.now(UTC) - started
            took_ms = int(took.total_seconds() * 1000)
            return Sent(Verdict.INTERNAL, started, took_ms, ErrorKind.INTERNAL)


def transmission(target: Target) -> TransmissionType:
    """Return the way out that a target is reached by."""
    match target:
        case WebhookTarget():
            return TransmissionType.WEBHOOK
        case SqsTarget():
            return TransmissionType.AWS_SQS
