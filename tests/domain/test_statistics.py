from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.domain.statistics import (
    RELATIVE_ERROR,
    Ending,
    RollUp,
    code_of,
    ending_of,
    percentile,
)

DURATIONS = st.integers(0, 10_000_000)
CODES = st.builds(
    code_of,
    st.sampled_from(Ending),
    attempt_ms=st.none() | DURATIONS,
    latency_ms=st.none() | DURATIONS,
    retried=st.booleans(),
)


def rolled_up(*codes: int) -> RollUp:
    made = RollUp()
    for code in codes:
        made.count(code, 1)
    return made


def attempts(*durations: int) -> RollUp:
    return rolled_up(
        *(code_of(Ending.DELIVERED, attempt_ms=each, retried=False) for each in durations)
    )


@given(st.lists(DURATIONS, min_size=1), st.sampled_from([0.5, 0.99]))
def test_percentiles_are_within_their_error_of_the_true_ones(
    durations: list[int], share: float
) -> None:
    true = sorted(durations)[ceil(share * len(durations)) - 1]
    found = percentile(attempts(*durations).attempts, share)
    assert found is not None
    assert abs(found - true) <= true * RELATIVE_ERROR + 0.5


@given(st.lists(CODES), st.lists(CODES))
def test_adding_roll_ups_is_counting_everything_in_one(one: list[int], other: list[int]) -> None:
    sum_of_both = rolled_up(*one)
    sum_of_both.add(rolled_up(*other))
    assert sum_of_both == rolled_up(*one, *other)


@given(CODES)
def test_a_code_fits_an_integer_of_the_database_and_tells_how_it_ended(code: int) -> None:
    assert 0 <= code < 2**31
    counted = rolled_up(code)
    ended = (counted.delivered, counted.failed, counted.skipped)
    assert (
        ended
        == {
            Ending.PENDING: (0, 0, 0),
            Ending.DELIVERED: (1, 0, 0),
            Ending.FAILED: (0, 1, 0),
            Ending.SKIPPED: (0, 0, 1),
        }[ending_of(code)]
    )


def test_what_was_not_measured_is_in_no_histogram() -> None:
    skipped = rolled_up(code_of(Ending.SKIPPED, retried=False))
    assert (skipped.attempts, skipped.latencies, skipped.retries) == ({}, {}, 0)
    failed = rolled_up(code_of(Ending.FAILED, attempt_ms=7, retried=True))
    assert (sum(failed.attempts.values()), failed.latencies, failed.retries) == (1, {}, 1)


@pytest.mark.parametrize(("milliseconds", "told"), [(0, 0), (1, 1), (10**15, 2_592_000_000)])
def test_extreme_durations_have_a_bucket(milliseconds: int, told: int) -> None:
    assert percentile(attempts(milliseconds).attempts, 0.5) == pytest.approx(told, rel=0.05)


def test_nothing_has_no_percentiles() -> None:
    assert percentile({}, 0.5) is None
