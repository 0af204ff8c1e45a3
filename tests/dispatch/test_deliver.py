import asyncio
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from hookline.dispatch.deliver import Deliverer
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
from hookline.domain.retries import GroupPolicy, RetryPolicies
from hookline.domain.targets import SqsTarget, TransmissionType, WebhookTarget
from hookline.queue.port import Claimed
from hookline.sinks import Shipment
from support.jobs import a_job
from support.sink_script import Book, Script, in_turn, sent


class Bench:
    """A deliverer with all that it needs, made up."""

    def __init__(self) -> None:
        self.book = Book()
        self.webhook, self.sqs = Script(), Script()
        self.gone: list[tuple[str, str]] = []
        sinks = {TransmissionType.WEBHOOK: self.webhook, TransmissionType.AWS_SQS: self.sqs}
        policies = RetryPolicies((5.0, 30.0), jitter=0.0, retry_after_cap=100.0)
        self.deliverer = Deliverer(
            self.book, sinks, policies, on_gone=lambda *told: self.gone.append(told)
        )

    async def outcome(self, job: Claimed) -> Outcome:
        return (await self.deliverer.deliver(job)).outcome


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_delivered_copy_is_settled_with_its_attempt(bench: Bench) -> None:
    job = a_job("crm")
    settlement = await bench.deliverer.deliver(job)
    assert (settlement.id, settlement.lease, settlement.number) == (job.id, job.lease, 1)
    assert settlement.outcome == Delivered()
    assert settlement.sent is not None
    [shipment] = bench.webhook.shipments
    assert shipment.body == job.event.body_for("crm")
    assert (shipment.delivery_id, shipment.subject) == (job.id, "call-1")


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (Verdict.RETRY, RetryAt(5.0)),
        (Verdict.INTERNAL, RetryAt(5.0)),
        (Verdict.REJECTED, Failed(FailReason.REJECTED)),
        (Verdict.GONE, Failed(FailReason.GONE)),
        (Verdict.BLOCKED, Failed(FailReason.BLOCKED)),
        (Verdict.TOO_LARGE, Failed(FailReason.TOO_LARGE)),
    ],
)
async def test_each_verdict_has_its_outcome(
    bench: Bench, verdict: Verdict, outcome: Outcome
) -> None:
    bench.webhook.answers["int001"] = in_turn(verdict)
    assert await bench.outcome(a_job()) == outcome


async def test_the_durable_count_of_attempts_decides_when_it_is_enough(bench: Bench) -> None:
    bench.webhook.answers["int001"] = in_turn(Verdict.RETRY)
    second = replace(a_job(), attempts=1, claims=2)
    settlement = await bench.deliverer.deliver(second)
    assert (settlement.outcome, settlement.number) == (RetryAt(30.0), 2)
    last = replace(a_job(), attempts=2, claims=3)
    assert await bench.outcome(last) == Failed(FailReason.EXHAUSTED)


async def test_what_somebody_asked_for_by_hand_is_attempted_once(bench: Bench) -> None:
    bench.webhook.answers["int001"] = in_turn(Verdict.RETRY)
    assert await bench.outcome(replace(a_job(), once=True)) == Failed(FailReason.EXHAUSTED)
    bench.webhook.answers["int001"] = in_turn(Verdict.INTERNAL)
    assert await bench.outcome(replace(a_job(), once=True)) == Failed(FailReason.INTERNAL)


async def test_nothing_is_sent_for_a_deleted_or_disabled_integration(bench: Bench) -> None:
    bench.book.struck_out = {"deleted"}
    bench.book.change("disabled", enabled=False)
    deleted = await bench.deliverer.deliver(a_job("deleted"))
    disabled = await bench.deliverer.deliver(a_job("disabled"))
    assert (deleted.outcome, deleted.sent) == (Skipped(SkipReason.DELETED), None)
    assert (disabled.outcome, disabled.sent) == (Skipped(SkipReason.DISABLED), None)
    assert bench.webhook.shipments == []


async def test_who_asked_never_to_be_called_again_is_named_with_the_url(bench: Bench) -> None:
    bench.webhook.answers["int001"] = in_turn(Verdict.GONE)
    await bench.outcome(a_job())
    assert bench.gone == [("int001", "https://example.com/int001")]


async def test_a_queue_goes_through_its_own_sink(bench: Bench) -> None:
    target = SqsTarget("https://sqs.eu-central-1.amazonaws.com/123456789012/q", "AKIA", "key")
    bench.book.change("queue1", target=target)
    assert await bench.outcome(a_job("queue1")) == Delivered()
    assert [shipment.target for shipment in bench.sqs.shipments] == [target]
    assert bench.webhook.shipments == []


async def test_a_fault_of_ours_is_an_attempt_and_is_retried(bench: Bench) -> None:
    async def fails(_shipment: Shipment) -> Sent:
        raise LookupError("a fault of ours")

    bench.webhook.answers["int001"] = fails
    settlement = await bench.deliverer.deliver(a_job())
    assert settlement.outcome == RetryAt(5.0)
    assert settlement.sent is not None
    assert settlement.sent.error is ErrorKind.INTERNAL


async def test_a_secret_that_cannot_be_decrypted_is_a_fault_of_ours(bench: Bench) -> None:
    bench.book.change("int001", target=None)
    settlement = await bench.deliverer.deliver(replace(a_job(), attempts=2, claims=3))
    assert settlement.outcome == Failed(FailReason.INTERNAL)
    assert bench.webhook.shipments == []


async def test_a_delivery_that_ends_its_holders_is_given_up(bench: Bench) -> None:
    assert await bench.outcome(replace(a_job(), attempts=2, claims=11)) == Delivered()
    poisonous = await bench.deliverer.deliver(replace(a_job(), attempts=2, claims=12))
    assert (poisonous.outcome, poisonous.number) == (Failed(FailReason.INTERNAL), 2)
    assert poisonous.sent is None


async def test_a_rotated_secret_signs_along_until_its_time_and_no_longer(bench: Bench) -> None:
    now = datetime.now(UTC)
    both = ("a" * 32, "b" * 32)
    for name, until in (("soon", now + timedelta(hours=1)), ("over", now - timedelta(seconds=1))):
        bench.book.change(name, target=WebhookTarget("https://x.test/", both, until=(until,)))
    secrets = []
    for name in ("soon", "over"):
        await bench.outcome(a_job(name))
        target = bench.webhook.shipments[-1].target
        assert isinstance(target, WebhookTarget)
        secrets.append(target.secrets)
    assert secrets == [("a" * 32, "b" * 32), ("a" * 32,)]


async def test_an_integration_newer_than_the_snapshot_is_known_before_its_first_delivery(
    bench: Bench,
) -> None:
    bench.book.known_from["newborn"] = 7
    job = replace(a_job("newborn"), revision=7)
    await bench.deliverer.follow([a_job(), job])
    assert bench.book.caught_up == [6]
    assert await bench.outcome(job) == Delivered()
    await bench.deliverer.follow([job])
    await bench.deliverer.follow([])
    assert len(bench.book.caught_up) == 1


async def test_retry_after_lengthens_a_delay_within_its_cap(bench: Bench) -> None:
    async def asks(shipment: Shipment) -> Sent:
        seconds = {"short": 2.0, "long": 60.0, "ages": 9999.0}
        return sent(Verdict.RETRY, retry_after=seconds[shipment.target.url.rpartition("/")[2]])

    for name, delay in (("short", 5.0), ("long", 60.0), ("ages", 100.0)):
        bench.webhook.answers[name] = asks
        assert await bench.outcome(a_job(name)) == RetryAt(delay)


async def test_a_delivery_that_is_too_old_or_replaced_is_not_attempted(bench: Bench) -> None:
    stale = await bench.deliverer.deliver(a_job(), stale_at=time.monotonic() - 1)
    superseded = await bench.deliverer.deliver(replace(a_job(), superseded=True))
    assert stale.outcome == Skipped(SkipReason.STALE)
    assert superseded.outcome == Skipped(SkipReason.SUPERSEDED)
    assert stale.sent is superseded.sent is None
    assert bench.webhook.shipments == []


async def test_a_retry_that_would_come_too_late_is_not_waited_for(bench: Bench) -> None:
    async def busy(_shipment: Shipment) -> Sent:
        return sent(Verdict.RETRY, retry_after=60.0)

    bench.webhook.answers["int001"] = busy
    in_time = await bench.deliverer.deliver(a_job(), stale_at=time.monotonic() + 600)
    too_late = await bench.deliverer.deliver(a_job(), stale_at=time.monotonic() + 30)
    assert in_time.outcome == RetryAt(60.0)
    assert too_late.outcome == Skipped(SkipReason.STALE)
    assert (too_late.number, too_late.sent is not None) == (1, True)


async def test_what_fails_while_a_newer_one_is_sent_is_not_tried_again(bench: Bench) -> None:
    older, newer = (replace(a_job(), replacement_key=UUID(int=1)) for _ in range(2))
    newer_ended = asyncio.Event()

    async def behave(shipment: Shipment) -> Sent:
        if shipment.delivery_id == newer.id:
            return sent()
        await newer_ended.wait()
        return sent(Verdict.RETRY)

    bench.webhook.answers["int001"] = behave
    waiting = asyncio.create_task(bench.deliverer.deliver(older))
    await bench.webhook.until_sent(1)
    assert await bench.outcome(newer) == Delivered()
    newer_ended.set()
    assert (await waiting).outcome == Skipped(SkipReason.SUPERSEDED)
    alone = replace(a_job(), replacement_key=UUID(int=1))
    bench.webhook.answers["int001"] = in_turn(Verdict.RETRY)
    assert await bench.outcome(alone) == RetryAt(5.0)


async def test_an_integration_may_have_delays_of_its_own_for_a_group(bench: Bench) -> None:
    bench.webhook.answers["int001"] = in_turn(Verdict.RETRY)
    policies = {"call": GroupPolicy(retry_delays=(7.0,)), "chat": GroupPolicy(retry_delays=())}
    bench.book.change("int001", policies=policies)
    assert await bench.outcome(a_job()) == RetryAt(7.0)
    assert await bench.outcome(replace(a_job(), attempts=1)) == Failed(FailReason.EXHAUSTED)
