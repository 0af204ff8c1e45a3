"""What counts, and what it counts as."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest

from factories import an_event
from hookline.dispatch.observer import Receipt
from hookline.domain.deliveries import (
    Delivered,
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
from hookline.domain.events import Limits, parse_event
from hookline.domain.ids import created_at, new_uuid
from hookline.domain.selection import Selection
from hookline.domain.targets import SqsTarget, Target, WebhookTarget
from hookline.errors import Forbidden, Overloaded, Unavailable
from hookline.integrations.subscriptions import Subscription
from hookline.metrics.counters import Counters
from hookline.queue.port import Claimed, Settlement

TARGETS: dict[str, Target | None] = {
    "webhok": WebhookTarget("https://crm.example.com", ("secret",)),
    "queue1": SqsTarget("https://sqs.eu-central-1.amazonaws.com/1/q", "AKIA", "secret"),
    "broken": None,
}
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Snapshot:
    def find(self, integration_id: str) -> Subscription | None:
        if integration_id not in TARGETS:
            return None
        target = TARGETS[integration_id]
        whose = {"pbx": "000000000001", "company": None, "enabled": True}
        return Subscription(
            integration_id,
            **whose,  # type: ignore[arg-type]  # by name
            selection=Selection(()),
            max_in_flight=1,
            ordered=False,
            target=target,
        )


@pytest.fixture
def counts() -> Counters:
    return Counters(Snapshot())


def a_job(
    integration_id: str = "webhok", *, attempts: int = 0, delivery_id: UUID | None = None
) -> Claimed:
    return Claimed(
        id=delivery_id or new_uuid(),
        lease=1,
        event_id=new_uuid(),
        integration_id=integration_id,
        attempts=attempts,
        claims=1,
        once=False,
        revision=1,
        event=parse_event(orjson.dumps(an_event()), Limits()),
    )


def well(started_at: datetime = NOON, took_ms: int = 41) -> Sent:
    return Sent(Verdict.DELIVERED, started_at, took_ms)


def badly(error: ErrorKind) -> Sent:
    return Sent(Verdict.RETRY, NOON, 5_003, error)


def ended(counts: Counters, job: Claimed, outcome: Outcome, sent: Sent | None) -> Settlement:
    settlement = Settlement(job.id, job.lease, outcome, job.attempts + 1, sent)
    counts.attempted(job, settlement)
    return settlement


def positive(counts: Counters, name: str) -> dict[tuple[str, ...], float]:
    return {labels: found for labels, [found] in counts.numbers()[name].items() if found}


def receipts(*facts: tuple[bool, int]) -> Sequence[Receipt]:
    return [Receipt(new_uuid(), duplicate, deliveries) for duplicate, deliveries in facts]


def test_attempts_count_by_their_way_out_and_how_they_ended(counts: Counters) -> None:
    ended(counts, a_job(), Delivered(), well())
    ended(counts, a_job(), Failed(FailReason.EXHAUSTED), badly(ErrorKind.TIMEOUT))
    ended(counts, a_job(), Skipped(SkipReason.DELETED), badly(ErrorKind.TIMEOUT))
    ended(counts, a_job("queue1"), RetryAt(5), badly(ErrorKind.THROTTLED))
    for name in ("broken", "gone01"):
        ended(counts, a_job(name), Failed(FailReason.INTERNAL), badly(ErrorKind.INTERNAL))

    assert positive(counts, "hookline_attempts_total") == {
        ("WEBHOOK", "delivered"): 1,
        ("WEBHOOK", "failed"): 2,
        ("AWS_SQS", "retry"): 1,
        ("unknown", "failed"): 2,
    }
    assert positive(counts, "hookline_attempt_errors_total") == {
        ("WEBHOOK", "timeout"): 2,
        ("AWS_SQS", "throttled"): 1,
        ("unknown", "internal"): 2,
    }


def test_an_attempt_lies_at_or_below_its_bound(counts: Counters) -> None:
    for took_ms in (0, 5, 6, 30_000, 30_001):
        ended(counts, a_job(), Delivered(), well(took_ms=took_ms))
    *buckets, total = counts.numbers()["hookline_attempt_duration_seconds"]["WEBHOOK",]
    assert (buckets[:3], buckets[-2:]) == ([2, 1, 0], [1, 1])
    assert total == pytest.approx(60.012)


def test_the_delay_is_that_of_first_attempts(counts: Counters) -> None:
    job = a_job()
    accepted = created_at(job.id)
    late = well(accepted + timedelta(milliseconds=30))
    ended(counts, job, Delivered(), late)
    ended(counts, a_job(attempts=1, delivery_id=job.id), Delivered(), late)
    *buckets, total = counts.numbers()["hookline_first_attempt_delay_seconds"][()]
    assert (sum(buckets), buckets[3]) == (1, 1)
    assert total == pytest.approx(0.03, abs=1e-5)


def test_a_clock_that_was_put_back_takes_nothing_off_the_sum(counts: Counters) -> None:
    job = a_job()
    early = created_at(job.id) - timedelta(hours=1)
    ended(counts, job, Delivered(), well(early))
    *buckets, total = counts.numbers()["hookline_first_attempt_delay_seconds"][()]
    assert (buckets[0], total) == (1, 0)


def test_what_was_no_attempt_is_not_counted_as_one(counts: Counters) -> None:
    job = a_job()
    settlement = Settlement(job.id, 1, Skipped(SkipReason.DISABLED), 0, sent=None)
    counts.attempted(job, settlement)
    assert positive(counts, "hookline_attempts_total") == {}


def test_deliveries_end_where_that_was_written_and_nowhere_else(counts: Counters) -> None:
    outcomes: list[Outcome] = [
        Delivered(),
        Delivered(),
        RetryAt(5),
        Failed(FailReason.GONE),
        Skipped(SkipReason.DISABLED),
    ]
    batch = [ended(counts, a_job(), outcome, None) for outcome in outcomes]
    counts.settled(batch, {each.id for each in batch})
    counts.settled(batch, {batch[3].id})
    counts.skipped(SkipReason.DELETED, 1_000)

    assert positive(counts, "hookline_deliveries_settled_total") == {
        ("delivered", "none"): 2,
        ("failed", "gone"): 2,
        ("skipped", "disabled"): 1,
        ("skipped", "deleted"): 1_000,
    }
    assert positive(counts, "hookline_settlements_fenced_total") == {(): 4}


def test_events_are_new_or_known_or_refused_for_now(counts: Counters) -> None:
    counts.accepted(receipts((False, 3), (True, 0), (False, 0)))
    counts.refused(Overloaded("Later.", retry_after=1), 7)
    counts.refused(Unavailable("Away."), 2)
    counts.refused(Forbidden("Not yours."), 1)

    assert positive(counts, "hookline_events_total") == {("accepted",): 2, ("duplicate",): 1}
    assert positive(counts, "hookline_deliveries_created_total") == {(): 3}
    assert positive(counts, "hookline_events_refused_total") == {
        ("backlog",): 7,
        ("database",): 2,
    }
