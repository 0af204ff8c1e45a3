"""One leased delivery in, one settlement out: find the target, send once, judge the answer."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from hookline.db.errors import once_back
from hookline.dispatch.sending import Sender
from hookline.domain.deliveries import (
    Failed,
    FailReason,
    Outcome,
    RetryAt,
    Sent,
    Skipped,
    SkipReason,
    Verdict,
)
from hookline.domain.group_policies import NO_POLICY
from hookline.domain.retries import RetryPolicies
from hookline.domain.targets import TransmissionType
from hookline.integrations.subscriptions import Subscription
from hookline.logs import get_logger
from hookline.queue.port import Claimed, Settlement
from hookline.sinks import Sink

if TYPE_CHECKING:
    from uuid import UUID

_MOST_LOST_LEASES = 9  # leases that ended without an outcome: a delivery that kills its holders
_LOG = get_logger(__name__)


class Directory(Protocol):
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
        directory: Directory,
        sinks: Mapping[TransmissionType, Sink],
        policies: RetryPolicies,
        *,
        on_gone: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
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
        if newest > self._directory.revision:
            await once_back(lambda: self._directory.catch_up(beyond=newest - 1))

    async def deliver(self, job: Claimed, *, stale_at: float | None = None) -> Settlement:
        """Attempt one delivery, if it is worth sending still, and say how it is to be settled."""
        if job.claims - job.attempts > _MOST_LOST_LEASES:
            _LOG.error("delivery.poisonous", delivery=str(job.id), claims=job.claims)
            return _unattempted(job, Failed(FailReason.INTERNAL))
        if job.erased:
            return _unattempted(job, Skipped(SkipReason.ERASED))
        subscription = self._directory.find(job.integration_id)
        if subscription is None or not subscription.enabled:
            return _unattempted(job, _unwanted(subscription))
        if stale_at is not None and stale_at <= self._clock():
            return _unattempted(job, Skipped(SkipReason.STALE))
        if job.superseded:
            return _unattempted(job, Skipped(SkipReason.SUPERSEDED))
        number = job.attempts + 1
        with self._under_way(job):
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
        if outcome == Failed(FailReason.GONE) and subscription.target is not None:
            self._on_gone(job.integration_id, subscription.target.url)
        now = self._directory.find(job.integration_id)  # it may have changed during the attempt
        if isinstance(outcome, RetryAt) and (now is None or not now.enabled):
            outcome = _unwanted(now)
        return Settlement(job.id, job.lease, outcome, number, sent)

    def _judge(self, sent: Sent, subscription: Subscription, job: Claimed, number: int) -> Outcome:
        """Return what comes next after so many attempts, those made by hand not counted."""
        group = self._directory.group_of(job.event.type)
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

    @contextmanager
    def _under_way(self, job: Claimed) -> Iterator[None]:
        """Know a delivery as the newest of its key that was started, while it is sent."""
        if job.replacement_key is None:
            yield
            return
        key = (job.integration_id, job.replacement_key)
        self._newest[key] = job.id
        try:
            yield
        finally:
            if self._newest.get(key) == job.id:
                del self._newest[key]


def _unwanted(subscription: Subscription | None) -> Outcome:
    """Say why an integration that is deleted (None) or disabled gets nothing."""
    return Skipped(SkipReason.DELETED if subscription is None else SkipReason.DISABLED)


def _unattempted(job: Claimed, outcome: Outcome) -> Settlement:
    return Settlement(job.id, job.lease, outcome, job.attempts, sent=None)
