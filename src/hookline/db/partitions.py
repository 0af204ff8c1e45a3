"""The days' partitions: names, bounds, and the statements that make and drop them.

A partition holds the rows whose UUIDv7 was made on its day (UTC). It is made as a table of its own
and then attached, which, unlike `create table … partition of`, never blocks readers and writers.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hookline.domain.ids import created_at, lowest_uuid

PARTITIONED = {"events": "id", "deliveries": "id", "attempts": "delivery_id"}

_UNSAMPLED = {"events": "payload", "attempts": "response"}  # no row of pg_statistic quotes them
_NAME = re.compile(r"(events|deliveries|attempts)_(\d{8})")


@dataclass(frozen=True, slots=True)
class Partition:
    """One day of one partitioned table."""

    table: str
    day: date

    @property
    def name(self) -> str:
        """The partition's own table name, such as `events_20260131`."""
        return f"{self.table}_{self.day:%Y%m%d}"

    @property
    def bounds(self) -> tuple[UUID, UUID]:
        """The lowest id of the day, and the lowest of the day after."""
        start = datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)
        return lowest_uuid(start), lowest_uuid(start + timedelta(days=1))

    def create(self) -> str:
        """Return the statements that make the partition; they fail where it exists."""
        low, high = self.bounds
        column = _UNSAMPLED.get(self.table)
        unsampled = f"alter table {self.name} alter {column} set statistics 0;" if column else ""
        return (
            f"create table {self.name} (like {self.table} including all);{unsampled}"
            f"alter table {self.table} attach partition {self.name}"
            f" for values from ('{low}') to ('{high}');"
        )

    def drop(self) -> str:
        """Return the statement that drops the partition with all its rows."""
        return f"drop table if exists {self.name};"


def partition_of(table: str, identifier: UUID) -> Partition:
    """Return the partition that a row with this UUIDv7 lies in."""
    return Partition(table, created_at(identifier).date())


def is_partition(table: str) -> bool:
    """Tell whether a table's name is that of a day's partition."""
    return _NAME.fullmatch(table) is not None


def parse(table: str) -> Partition | None:
    """Return the partition that a table's name stands for, or None."""
    match = _NAME.fullmatch(table)
    if match is None:
        return None
    day = datetime.strptime(match[2], "%Y%m%d").replace(tzinfo=UTC).date()
    return Partition(match[1], day)


def days_between(oldest: str | None, newest: str | None) -> tuple[date, date] | None:
    """Return the days that `kept_days.sql` found; None where there is no partition yet."""
    first, last = parse(oldest or ""), parse(newest or "")
    return None if first is None or last is None else (first.day, last.day)


def of_days(days: Iterable[date]) -> list[Partition]:
    """Return the partitions of all tables for these days."""
    return [Partition(table, day) for day in days for table in PARTITIONED]
