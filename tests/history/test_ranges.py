from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from hookline.domain.ids import lowest_uuid
from hookline.history.ranges import IdRange, newest_first, oldest_first

NEWEST = date(2026, 3, 10)
HIGHEST = UUID(int=(1 << 128) - 1)
MOMENTS = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001 - made aware below
    lambda moment: lowest_uuid(moment.replace(tzinfo=UTC))
)


@given(MOMENTS, MOMENTS, st.integers(0, 2_000))
def test_ranges_are_few_days_each_and_leave_nothing_out(
    low: object, high: object, kept: int
) -> None:
    wanted = IdRange(low, high)  # type: ignore[arg-type]  # hypothesis loses the type
    days = (NEWEST - timedelta(days=kept), NEWEST)
    ranges = list(newest_first(wanted, days))
    assert ranges[0].high == wanted.high
    assert ranges[-1].low == wanted.low
    assert all(later.low == earlier.high for later, earlier in pairwise(ranges))
    assert len(ranges) <= 4 + kept / 64


def test_a_list_begins_with_a_few_days() -> None:
    first = next(newest_first(IdRange(), (NEWEST - timedelta(days=1_500), NEWEST)))
    assert first == IdRange(lowest_uuid(datetime(2026, 3, 3, tzinfo=UTC)), None)


def test_a_search_goes_forward_over_more_and_more_days() -> None:
    days = (date(2024, 1, 1), NEWEST)
    after = lowest_uuid(datetime(2025, 1, 1, 12, tzinfo=UTC))
    ranges = list(oldest_first(after, HIGHEST, days))
    assert ranges[0].low == UUID(int=after.int + 1)
    assert [each.high for each in ranges] == [
        lowest_uuid(datetime(2025, month, day, tzinfo=UTC))
        for month, day in ((1, 2), (1, 10), (1, 26), (2, 27), (5, 2))
    ]
    assert all(later.low == earlier.high for earlier, later in pairwise(ranges))


def test_a_search_leaves_out_days_that_have_no_partition() -> None:
    days = (date(2026, 3, 8), NEWEST)
    ranges = list(oldest_first(UUID(int=0), HIGHEST, days))
    assert ranges[0].low == lowest_uuid(datetime(2026, 3, 8, tzinfo=UTC))
    assert ranges[-1].high == lowest_uuid(datetime(2026, 3, 11, tzinfo=UTC))
    assert list(oldest_first(ranges[-1].last, HIGHEST, days)) == []
    beyond = UUID(int=ranges[0].low.int + 7)
    assert list(oldest_first(ranges[0].low, beyond, days)) == [
        IdRange(UUID(int=ranges[0].low.int + 1), beyond)
    ]
