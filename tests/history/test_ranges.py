from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hookline.domain.ids import lowest_uuid
from hookline.history.ranges import IdRange, newest_first, oldest_first

NEWEST = date(2026, 3, 10)
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


def test_an_old_event_is_looked_for_from_its_day_on() -> None:
    low = lowest_uuid(datetime(2026, 1, 1, tzinfo=UTC))
    ranges = list(oldest_first(low, (date(2024, 1, 1), NEWEST)))
    assert [each.low for each in ranges] == [low, lowest_uuid(datetime(2026, 3, 6, tzinfo=UTC))]
    assert [each.high for each in ranges] == [ranges[1].low, None]
    assert list(oldest_first(low, None)) == [IdRange(low)]
