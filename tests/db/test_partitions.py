from datetime import UTC, date, datetime, timedelta

import pytest

from hookline.db.partitions import PARTITIONED, Partition, is_partition, of_days, parse
from hookline.domain.ids import lowest_uuid

DAY = date(2026, 1, 31)


def test_a_partition_holds_the_ids_of_its_day_and_of_no_other() -> None:
    low, high = Partition("events", DAY).bounds
    midnight = datetime(2026, 1, 31, tzinfo=UTC)
    assert low == lowest_uuid(midnight)
    assert lowest_uuid(midnight + timedelta(days=1, milliseconds=-1)) < high
    assert high == Partition("events", DAY + timedelta(days=1)).bounds[0]


@pytest.mark.parametrize("table", PARTITIONED)
def test_a_name_tells_table_and_day(table: str) -> None:
    assert parse(Partition(table, DAY).name) == Partition(table, DAY)
    assert is_partition(f"{table}_20260131")


@pytest.mark.parametrize(
    "name", ["events", "pending_20260131", "events_2026013", "events_20260131_old", "x"]
)
def test_other_tables_are_no_partitions(name: str) -> None:
    assert parse(name) is None
    assert not is_partition(name)


def test_every_table_has_each_day() -> None:
    made = of_days([DAY, DAY + timedelta(days=1)])
    assert len(made) == 2 * len(PARTITIONED)
    assert len({each.name for each in made}) == len(made)
