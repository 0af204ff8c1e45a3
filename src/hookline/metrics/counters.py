"""What one process counts, as plain numbers: an attempt costs a microsecond, an event less.

What counts, and when:

- an **event** handed in over the API: once it is stored, or known from before, or refused for now;
  not one that is wrong, and not the notices that Hookline makes itself
- a **delivery** made: with its event. One ended: once that is written, also where no attempt was
  made. A delivery that somebody retries by hand ends twice
- an **attempt**: when it ends, whether or not its outcome is written yet. Those of the test button
  do not count
- a **change of health**: once it is written, in the one process that made it; not those that
  somebody made by hand
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from hookline.dispatch.deliver import transmission
from hookline.dispatch.observer import Receipt
from hookline.domain.deliveries import (
    Delivered,
    DeliveryStatus,
    ErrorKind,
    Failed,
    Outcome,
    RetryAt,
    SkipReason,
)
from hookline.domain.health import HealthState
from hookline.domain.targets import SqsTarget, WebhookTarget
from hookline.errors import HooklineError, Overloaded, Unavailable
from hookline.integrations.subscriptions import Subscription
from hookline.metrics.definitions import (
    DELAY_BOUNDS,
    DURATION_BOUNDS,
    NO_REASON,
    UNKNOWN,
    Numbers,
    Refusal,
    Result,
    zeros,
)
from hookline.queue.port import Claimed, Settlement

_MS = 1000  # in a second: attempts and ids count those
_ID_TIME = 80  # bits of a UUIDv7 below its milliseconds
_OUTCOMES: Final[dict[type[Outcome], str]] = {Delivered: "delivered", RetryAt: "retry"}


class Snapshot(Protocol):
    """Knows the transmission type of an integration."""

    def find(self, integration_id: str) -> Subscription | None:
        """Return the integration, or None when it is deleted."""


class Totals(NamedTuple):
    """What rates are made of: events accepted, copies delivered and copies failed for good."""

    accepted: int
    delivered: int
    failed: int


class _Histogram:
    """How often seconds fell between two bounds, and their sum. Written to in place."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def count(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def numbers(self) -> list[float]:
        return [*self.counts, self.total]


class _Way(_Histogram):
    """The attempts of one transmission: how long they took, and how they ended."""

    __slots__ = ("ends",)

    def __init__(self) -> None:
        super().__init__(DURATION_BOUNDS)
        self.ends: defaultdict[tuple[type[Outcome], ErrorKind | None], int] = defaultdict(int)


class Counters:
    """The counters of one process: observes ingest, the engine, circuit breakers and the queue.

    Numbers are read and changed in its event loop alone.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._find = snapshot.find
        self._ways: dict[type, _Way] = {
            WebhookTarget: _Way(),
            SqsTarget: _Way(),
            type(None): _Way(),
        }
        self._delays = _Histogram(DELAY_BOUNDS)
        self._latencies = _Histogram(DELAY_BOUNDS)
        self._accepted = self._duplicates = self._created = self._fenced = 0
        self._delivered = 0
        self._refused = dict.fromkeys((Refusal.BACKLOG, Refusal.DATABASE), 0)
        self._ended: dict[tuple[str, str], int] = {}
        self._changes: dict[HealthState, int] = {}

    def accepted(self, receipts: Sequence[Receipt]) -> None:
        """Count events that were answered."""
        self._accepted += len(receipts)
        for receipt in receipts:
            self._created += receipt.deliveries
            if receipt.duplicate:
                self._accepted -= 1
                self._duplicates += 1

    def refused(self, error: HooklineError, events: int) -> None:
        """Count events that were not taken, where that is not their sender's fault."""
        if isinstance(error, Overloaded):
            self._refused[Refusal.BACKLOG] += events
        elif isinstance(error, Unavailable):
            self._refused[Refusal.DATABASE] += events

    def attempted(self, job: Claimed, settlement: Settlement) -> None:
        """Count an attempt: how long it took, how it ended, and, of a first one, how it waited."""
        sent = settlement.sent
        if sent is None:
            return
        known = self._find(job.integration_id)
        way = self._ways[type(None if known is None else known.target)]
        took = sent.duration_ms / _MS
        way.ends[type(settlement.outcome), sent.error] += 1
        way.counts[bisect_left(way.bounds, took)] += 1
        way.total += took
        if not job.attempts:
            waited = sent.started_at.timestamp() - (job.id.int >> _ID_TIME) / _MS
            delays = self._delays
            delays.counts[bisect_left(delays.bounds, waited)] += 1
            if waited > 0:  # ids are ahead of a clock that was put back
                delays.total += waited

    def settled(self, batch: Sequence[Settlement], ours: Collection[UUID]) -> None:
        """Count deliveries that ended, and outcomes that were fenced off."""
        fenced = len(ours) < len(batch)
        for settlement in batch:
            if fenced and settlement.id not in ours:
                self._fenced += 1
                continue
            outcome = settlement.outcome
            if isinstance(outcome, Delivered):
                self._delivered += 1
                if (sent := settlement.sent) is not None:
                    waited = sent.started_at.timestamp() - (settlement.id.int >> _ID_TIME) / _MS
                    self._latencies.count(max(0.0, waited) + sent.duration_ms / _MS)
            elif not isinstance(outcome, RetryAt):
                status = (
                    DeliveryStatus.FAILED if isinstance(outcome, Failed) else DeliveryStatus.SKIPPED
                )
                self._end(status, outcome.reason, 1)

    def skipped(self, reason: SkipReason, deliveries: int) -> None:
        """Count deliveries that ended without having been claimed."""
        self._end(DeliveryStatus.SKIPPED, reason, deliveries)

    def health_changed(self, state: HealthState) -> None:
        """Count a change of an integration's health, once it is written."""
        self._changes[state] = self._changes.get(state, 0) + 1

    def totals(self) -> Totals:
        """Return what rates are made of, counted since the start."""
        failed = sum(
            count for (status, _), count in self._ended.items() if status == DeliveryStatus.FAILED
        )
        return Totals(self._accepted, self._delivered, failed)

    def numbers(self) -> Numbers:
        """Return all counters of this process, those at zero included."""
        found = zeros()
        found["hookline_events_total"] |= {
            (Result.ACCEPTED,): [self._accepted],
            (Result.DUPLICATE,): [self._duplicates],
        }
        found["hookline_events_refused_total"] |= {
            (reason,): [count] for reason, count in self._refused.items()
        }
        found["hookline_deliveries_created_total"][()] = [self._created]
        found["hookline_deliveries_settled_total"] |= {
            (DeliveryStatus.DELIVERED, NO_REASON): [self._delivered],
            **{ending: [count] for ending, count in self._ended.items()},
        }
        found["hookline_settlements_fenced_total"][()] = [self._fenced]
        found["hookline_health_changes_total"] |= {
            (state,): [count] for state, count in self._changes.items()
        }
        found["hookline_first_attempt_delay_seconds"][()] = self._delays.numbers()
        found["hookline_delivery_latency_seconds"][()] = self._latencies.numbers()
        for target, way in self._ways.items():
            _describe(found, _NAMES[target], way)
        return found

    def _end(self, status: DeliveryStatus, reason: str, deliveries: int) -> None:
        ending = (status, reason)
        self._ended[ending] = self._ended.get(ending, 0) + deliveries


_NAMES: Final[dict[type, str]] = {
    WebhookTarget: transmission(WebhookTarget("", ())),
    SqsTarget: transmission(SqsTarget("", "", "")),
    type(None): UNKNOWN,
}


def _describe(found: Numbers, name: str, way: _Way) -> None:
    attempts, errors = found["hookline_attempts_total"], found["hookline_attempt_errors_total"]
    for (outcome, error), count in way.ends.items():
        attempts[name, _OUTCOMES.get(outcome, "failed")][0] += count  # skipped meanwhile as well
        if error is not None:
            errors[name, error][0] += count
    found["hookline_attempt_duration_seconds"][name,] = way.numbers()
