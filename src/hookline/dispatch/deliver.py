"""Makes one attempt of a leased delivery: finds the target, sends once, judges the answer."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID
from weakref import WeakValueDictionary

from hookline.background import Slices
from hookline.db.errors import once_back
from hookline.domain.deliveries import (
    ErrorKind,
    Failed,
    FailReason,
    Outcome,
    RetryAt,
    Sent,
    Skipped,
    SkipReason,
    Verdict,
)
from hookline.domain.events import Event
from hookline.domain.omissions import without, without_in_steps
from hookline.domain.retries import NO_POLICY, RetryPolicies
from hookline.domain.targets import SqsTarget, Target, TransmissionType, WebhookTarget
from hookline.integrations.subscriptions import Subscription
from hookline.logs import get_logger
from hookline.queue.port import Claimed, Settlement
from hookline.sinks import Shipment, Sink

_MOST_LOST_LEASES = 9  # leases that ended without an outcome: a delivery that kills its holders
_LOG = get_logger(__name__)
_SMALL = 4 * 1024  # bytes of an event whose copy takes less time than others notice
_MOST_COPIES = 1_024
_MOST_BYTES = 16 * 1024 * 1024  # of copies that are kept for other integrations, and for retries

Omitted = tuple[str, ...] | None
"""The paths that a copy leaves out; None: it is whole."""


class Snapshot(Protocol):
    """Who is subscribed, as of this process's snapshot."""

    revision: int

    async def catch_up(self, beyond: int | None = None) -> None:
        """Load what changed, only if the snapshot is not newer than `beyond`."""

    def find(self, integration_id: str) -> Subscription | None:
        """Return the integration, or None when it is deleted."""

    def group_of(self, event_type: str) -> str | None:
        """Return the group of an event type."""


class Deliverer:
    """Makes attempts. Nothing that a target, or a fault of ours, does is raised from here.

    `on_gone` is told the integration and the URL that asked never to be called again. `clock`, in
    seconds, is the one by which deliveries become stale.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        sinks: Mapping[TransmissionType, Sink],
        policies: RetryPolicies,
        *,
        on_gone: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._snapshot = snapshot
        self._sender = Sender(sinks)
        self._policies = policies
        self._on_gone = on_gone
        self._clock = clock
        self._newest: dict[tuple[str, UUID], UUID] = {}  # under way, by replacement key

    async def follow(self, jobs: Sequence[Claimed]) -> None:
        """Know the integrations as they were when these were leased; wait out an absent database.

        A snapshot from before an integration existed would take it for a deleted one.
        """
        newest = max((job.revision for job in jobs), default=0)
        if newest > self._snapshot.revision:
            await once_back(lambda: self._snapshot.catch_up(beyond=newest - 1))

    async def deliver(self, job: Claimed, *, stale_at: float | None = None) -> Settlement:
        """Attempt one delivery, if it is worth sending still, and say how it is to be settled."""
        if job.claims - job.attempts > _MOST_LOST_LEASES:
            _LOG.error("delivery.poisonous", delivery=str(job.id), claims=job.claims)
            return _unattempted(job, Failed(FailReason.INTERNAL))
        if job.erased:
            return _unattempted(job, Skipped(SkipReason.ERASED))
        subscription = self._snapshot.find(job.integration_id)
        if subscription is None or not subscription.enabled:
            return _unattempted(job, _unwanted(subscription))
        if stale_at is not None and stale_at <= self._clock():
            return _unattempted(job, Skipped(SkipReason.STALE))
        if job.superseded:
            return _unattempted(job, Skipped(SkipReason.SUPERSEDED))
        number = job.attempts + 1
        self._begin(job)
        try:
            sent = await self._sender.attempt(
                subscription,
                job.id,
                job.event_id,
                job.event,
                omit=job.omit,
                number=number,
                retry_reason=job.last_error,
                replay=job.replay,
            )
            outcome = self._judge(sent, subscription, job, number - job.manual)
            if isinstance(outcome, RetryAt):
                outcome = self._worth_a_retry(job, outcome, stale_at)
        finally:
            self._end(job)
        if outcome == Failed(FailReason.GONE) and subscription.target is not None:
            self._on_gone(job.integration_id, subscription.target.url)
        now = self._snapshot.find(job.integration_id)  # it may have changed during the attempt
        if isinstance(outcome, RetryAt) and (now is None or not now.enabled):
            outcome = _unwanted(now)
        return Settlement(job.id, job.lease, outcome, number, sent)

    def _judge(self, sent: Sent, subscription: Subscription, job: Claimed, number: int) -> Outcome:
        """Return what comes next after so many attempts, those made by hand not counted."""
        group = self._snapshot.group_of(job.event.type)
        own = subscription.policies.get(group or "", NO_POLICY).retry_delays
        outcome = self._policies.of(group, own).decide(sent, number)
        if job.once and isinstance(outcome, RetryAt):
            ours = sent.verdict is Verdict.INTERNAL
            return Failed(FailReason.INTERNAL if ours else FailReason.EXHAUSTED)
        return outcome

    def _worth_a_retry(self, job: Claimed, retry: RetryAt, stale_at: float | None) -> Outcome:
        """Return the retry, unless it came too late, or a newer delivery went meanwhile."""
        if stale_at is not None and self._clock() + retry.delay >= stale_at:
            return Skipped(SkipReason.STALE)
        if job.replacement_key is not None:
            newest = self._newest.get((job.integration_id, job.replacement_key))
            if newest != job.id:
                return Skipped(SkipReason.SUPERSEDED)
        return retry

    def _begin(self, job: Claimed) -> None:
        """Know a delivery as the newest of its key that was started, until its attempt ends."""
        if job.replacement_key is not None:
            self._newest[job.integration_id, job.replacement_key] = job.id

    def _end(self, job: Claimed) -> None:
        if job.replacement_key is not None:
            key = (job.integration_id, job.replacement_key)
            if self._newest.get(key) == job.id:
                del self._newest[key]


def _unwanted(subscription: Subscription | None) -> Outcome:
    """Say why an integration that is deleted (None) or disabled gets nothing."""
    return Skipped(SkipReason.DELETED if subscription is None else SkipReason.DISABLED)


def _unattempted(job: Claimed, outcome: Outcome) -> Settlement:
    return Settlement(job.id, job.lease, outcome, job.attempts, sent=None)


class Copies:
    """Events without what integrations leave out: made once for each event and list of paths."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[UUID, tuple[str, ...]], Event] = OrderedDict()
        self._bytes = 0
        self._slices = Slices()
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def of(self, event_id: UUID, event: Event, omit: Omitted) -> Event:
        """Return the event as its copies are to be."""
        if not omit:
            return event
        key = (event_id, omit)
        if (made := self._made.get(key)) is not None:
            self._made.move_to_end(key)
            return made
        if len(event.payload) <= _SMALL:
            return self._keep(key, without(event, omit))
        making = self._making.setdefault(event.company, asyncio.Lock())
        async with making:  # one after another, so that a company with many takes one turn
            if (made := self._made.get(key)) is not None:
                return made
            return self._keep(key, await self._slices.run(without_in_steps(event, omit)))

    def _keep(self, key: tuple[UUID, tuple[str, ...]], made: Event) -> Event:
        self._made[key] = made
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
        tells_headers: bool = False,
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
                trace_context=event.trace_context,
                attempt=number,
                retry_reason=retry_reason,
                replay=replay,
                tells_headers=tells_headers,
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
