from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.domain.deliveries import (
    Delivered,
    Failed,
    FailReason,
    RetryAt,
    Sent,
    Verdict,
)
from hookline.domain.retries import RetryPolicies, RetryPolicy

EXACT = RetryPolicy((5, 30, 120), jitter=0)
SECONDS = st.floats(min_value=0, max_value=86_400)


def sent(verdict: Verdict, *, retry_after: float | None = None) -> Sent:
    started_at = datetime(2026, 11, 23, tzinfo=UTC)
    return Sent(verdict, started_at=started_at, duration_ms=7, retry_after=retry_after)


def test_one_attempt_and_three_retries_then_exhausted() -> None:
    outcomes = [EXACT.decide(sent(Verdict.RETRY), attempt) for attempt in (1, 2, 3, 4)]
    assert outcomes == [RetryAt(5), RetryAt(30), RetryAt(120), Failed(FailReason.EXHAUSTED)]


def test_the_default_is_the_contracts() -> None:
    policy = RetryPolicy()
    delays = [policy.decide(sent(Verdict.RETRY), attempt) for attempt in (1, 2, 3)]
    for outcome, delay in zip(delays, (5, 30, 120), strict=True):
        assert isinstance(outcome, RetryAt)
        assert delay <= outcome.delay <= delay * 1.1
    assert policy.attempts == 4


def test_an_attempt_that_somebody_asked_for_beyond_the_bound_is_the_last_again() -> None:
    assert EXACT.decide(sent(Verdict.RETRY), 9) == Failed(FailReason.EXHAUSTED)


@pytest.mark.parametrize("attempt", [1, 4, 9])
def test_a_success_is_a_success_whenever_it_comes(attempt: int) -> None:
    assert EXACT.decide(sent(Verdict.DELIVERED), attempt) == Delivered()


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (Verdict.REJECTED, FailReason.REJECTED),
        (Verdict.GONE, FailReason.GONE),
        (Verdict.BLOCKED, FailReason.BLOCKED),
        (Verdict.TOO_LARGE, FailReason.TOO_LARGE),
    ],
)
def test_what_no_retry_can_better_fails_at_once(verdict: Verdict, reason: FailReason) -> None:
    assert EXACT.decide(sent(verdict, retry_after=1), 1) == Failed(reason)


def test_a_fault_of_our_own_is_retried_and_then_told_as_such() -> None:
    outcomes = [EXACT.decide(sent(Verdict.INTERNAL), attempt) for attempt in (1, 2, 3, 4)]
    assert outcomes == [RetryAt(5), RetryAt(30), RetryAt(120), Failed(FailReason.INTERNAL)]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_an_outcome_at_the_bound(verdict: Verdict) -> None:
    assert isinstance(EXACT.decide(sent(verdict), EXACT.attempts), Delivered | Failed)


@pytest.mark.parametrize(
    ("asked", "delay"), [(None, 5), (0, 5), (4, 5), (60, 60), (3600, 3600), (10**9, 3600)]
)
def test_a_retry_after_lengthens_a_delay_up_to_the_cap(asked: float | None, delay: float) -> None:
    assert EXACT.decide(sent(Verdict.RETRY, retry_after=asked), 1) == RetryAt(delay)


def test_a_retry_after_brings_no_further_attempt() -> None:
    assert EXACT.decide(sent(Verdict.RETRY, retry_after=9), 4) == Failed(FailReason.EXHAUSTED)


def test_no_delays_means_one_attempt() -> None:
    assert RetryPolicy(()).decide(sent(Verdict.RETRY), 1) == Failed(FailReason.EXHAUSTED)


@given(
    delays=st.lists(SECONDS, max_size=10),
    jitter=st.floats(min_value=0, max_value=1),
    cap=SECONDS,
    asked=st.none() | st.floats(allow_nan=True, allow_infinity=True),
    attempt=st.integers(min_value=1, max_value=20),
)
def test_a_retry_is_never_early_never_beyond_its_bounds_and_never_one_too_many(
    delays: list[float], jitter: float, cap: float, asked: float | None, attempt: int
) -> None:
    policy = RetryPolicy(delays, jitter=jitter, retry_after_cap=cap)
    outcome = policy.decide(sent(Verdict.RETRY, retry_after=asked), attempt)
    if attempt > len(delays):
        assert outcome == Failed(FailReason.EXHAUSTED)
        assert policy.exhausted(attempt)
        return
    assert isinstance(outcome, RetryAt)
    delay = delays[attempt - 1]
    assert delay <= outcome.delay <= max(delay * (1 + jitter) + 1e-6, cap)
    assert not policy.exhausted(attempt)


def test_delays_are_an_integrations_own_or_its_groups_or_the_default() -> None:
    policies = RetryPolicies((5,), {"analytics": (5, 300)}, jitter=0)
    assert policies.of("call").decide(sent(Verdict.RETRY), 2) == Failed(FailReason.EXHAUSTED)
    assert policies.of("analytics").decide(sent(Verdict.RETRY), 2) == RetryAt(300)
    assert policies.of("analytics", (9, 9)).decide(sent(Verdict.RETRY), 2) == RetryAt(9)
    assert policies.of(None, ()).decide(sent(Verdict.RETRY), 1) == Failed(FailReason.EXHAUSTED)
