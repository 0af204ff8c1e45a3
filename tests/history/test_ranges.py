from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from hookline.domain.ids import created_at, lowest_uuid
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
    assert len(ranges) <= 5 + kept / 64


@given(*(st.none() | st.integers(0, (1 << 128) - 1).map(lambda bits: UUID(int=bits)),) * 2)
def test_whole_days_of_any_ids_have_them_all_and_little_more(
    low: UUID | None, high: UUID | None
) -> None:
    whole = IdRange(low, high).whole_days
    assert (whole.low is None, whole.high is None) == (low is None, high is None)
    if low is not None and whole.low is not None:
        assert whole.low <= low
        assert (low.int - whole.low.int) >> 80 < 86_400_000
    if high is not None and whole.high is not None:
        assert whole.high >= high
        assert (whole.high.int - high.int) >> 80 <= 86_400_000


def test_whole_days_begin_and_end_where_partitions_do() -> None:
    first, second, third = (lowest_uuid(datetime(2026, 3, day, tzinfo=UTC)) for day in (1, 2, 3))
    assert IdRange(first, second).whole_days == IdRange(first, second)
    inside = IdRange(UUID(int=first.int + 1), UUID(int=second.int + 1))
    assert inside.whole_days == IdRange(first, third)


def test_a_list_begins_with_a_few_days() -> None:
    first = next(newest_first(IdRange(), (NEWEST - timedelta(days=1_500), NEWEST)))
    assert first == IdRange(lowest_uuid(datetime(2026, 3, 6, tzinfo=UTC)), None)


@given(MOMENTS, MOMENTS, st.integers(1, 40))
def test_a_list_that_is_cut_short_has_looked_at_so_many_days(
    low: object, high: object, most: int
) -> None:
    wanted = IdRange(low, high)  # type: ignore[arg-type]  # hypothesis loses the type
    days = (NEWEST - timedelta(days=60), NEWEST)
    whole = list(newest_first(wanted, days, first=1))
    cut = list(newest_first(wanted, days, first=1, most=most))
    assert cut[0].high == wanted.high
    assert all(later.low == earlier.high for later, earlier in pairwise(cut))
    if cut[-1].low == wanted.low:
        assert cut == whole
        return
    left_off = cut[-1].low
    assert left_off is not None
    last = lowest_uuid(datetime(2026, 3, 11, tzinfo=UTC))
    looked_at = created_at(min(last, wanted.high or last)) - created_at(left_off)
    assert timedelta(days=most - 1) < looked_at <= timedelta(days=most)
    gone_on_with = list(newest_first(IdRange(wanted.low, left_off), days, first=1))
    assert created_at(left_off) - created_at(gone_on_with[0].low or left_off) <= timedelta(days=1)
    assert gone_on_with[-1].low == wanted.low


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
