"""Splits a list's ids into ranges of days, so that each statement plans over few partitions.

An id names its moment, and with it its partition. A plan costs time and locks for each partition
that its bounds leave in, and lists seldom look further back than a few days.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hookline.domain.ids import created_at, lowest_uuid

_FIRST_DAYS = 8  # three of them are made ahead
_MOST_DAYS = 64  # a plan over these takes some 20 ms


@dataclass(frozen=True, slots=True)
class IdRange:
    """Ids from `low` up to, and without, `high`; None: unbounded."""

    low: UUID | None = None
    high: UUID | None = None


def newest_first(wanted: IdRange, days: tuple[date, date] | None) -> Iterator[IdRange]:
    """Split a range for a list that begins at its end: few days at first, then more and more.

    `days` are the first and the last that have a partition.
    """
    if days is None:
        yield wanted
        return
    oldest, newest = days
    length, high = _FIRST_DAYS, wanted.high
    edge = newest + timedelta(days=1)
    if high is not None and high < _start(edge):
        edge = _day(high) + timedelta(days=1)
    while True:
        edge -= timedelta(days=length)
        low = _start(edge)
        if edge <= oldest or (wanted.low is not None and low <= wanted.low):
            yield IdRange(wanted.low, high)
            return
        yield IdRange(low, high)
        high = low
        length = min(length * 2, _MOST_DAYS)


def oldest_first(low: UUID, days: tuple[date, date] | None) -> Iterator[IdRange]:
    """Split all ids from `low` on."""
    newest = days[1] if days else _day(low)
    edge = _day(low)
    while (edge := edge + timedelta(days=_MOST_DAYS)) <= newest:
        high = _start(edge)
        yield IdRange(low, high)
        low = high
    yield IdRange(low)


def _day(moment: UUID) -> date:
    return created_at(moment).date()


def _start(day: date) -> UUID:
    return lowest_uuid(datetime(day.year, day.month, day.day, tzinfo=UTC))
