"""Splits a list's ids into ranges of days, so that each statement plans over few partitions.

An id names its moment, and with it its partition. A plan costs time and locks for each partition
that its bounds leave in, and lists seldom look further back than a few days.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from hookline.db.partitions import days_between
from hookline.db.statements import statement
from hookline.domain.ids import created_at, lowest_uuid
from hookline.errors import FieldProblem, InvalidInput

_FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)  # no UUIDv7 names an earlier one
MANY_SCANS: Final = 100  # of some 3 µs each, for each day
_MOST_SCANS: Final = 4_000  # of a page, but for its first day: some 15 ms
_CLOCKS_DIFFER = timedelta(minutes=5)  # of processes, at the most
_FIRST_DAYS = 5  # as many as a new database has: three of them are made ahead
_PLANNED_DAYS = 96  # of a page: with the server's part, some 0.3 ms each
_ALWAYS_PLANNED = 40  # days, whatever is asked for: retention's default and those made ahead
_KEPT_DAYS = text(statement("db/kept_days"))
_REPLAYED_DAYS = text(statement("history/replayed_days"))
_MOST_DAYS = 64  # a plan over these takes some 20 ms
_FORWARD = (1, 8, 16, 32, _MOST_DAYS)  # days
_DAY = timedelta(days=1)
_DAY_MS = 86_400_000
_LOWEST_BITS = lowest_uuid(datetime(1970, 1, 1, tzinfo=UTC)).int  # a UUIDv7's version and variant
_HIGHEST = UUID(int=(1 << 128) - 1)


Row = Select[*tuple[Any, ...]]  # Any: rows are read by column name


@dataclass(frozen=True, slots=True)
class IdRange:
    """Ids from `low` up to, and without, `high`; None: unbounded."""

    low: UUID | None = None
    high: UUID | None = None

    @property
    def last(self) -> UUID:
        """The highest id of the range."""
        return _HIGHEST if self.high is None else UUID(int=self.high.int - 1)

    @property
    def whole_days(self) -> "IdRange":
        """All of the days that it touches, as partitions have them."""
        low = None if self.low is None else min(self.low, _midnight(self.low))
        if self.high is None:
            return IdRange(low)
        midnight = _midnight(self.high)
        return IdRange(low, midnight if self.high <= midnight else _midnight(self.high, after=1))


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` up to, and without, `until`, to the millisecond."""

    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        """Raise InvalidInput where it ends before it begins."""
        if self.since is not None and self.until is not None and self.since > self.until:
            raise InvalidInput(FieldProblem("since", "Send a time before `until`."))

    def ids(self, before: UUID | None = None) -> IdRange:
        """Return the ids that name a moment of it; `before` bounds them further."""
        until = None if self.until is None else _lowest(self.until)
        return IdRange(
            low=None if self.since is None else _lowest(self.since),
            high=min((each for each in (until, before) if each is not None), default=None),
        )


ALWAYS: Final = Period()


def newest_first(
    wanted: IdRange,
    days: tuple[date, date] | None,
    *,
    first: int = _FIRST_DAYS,
    most: int | None = None,
) -> Iterator[IdRange]:
    """Split a range for a list that begins at its end: `first` days, then more and more.

    `days` are the first and the last that have a partition. It ends after `most` days, before the
    range's beginning where that is further back.
    """
    if days is None:
        yield wanted
        return
    oldest, newest = days
    length, high = first, wanted.high
    edge = newest + timedelta(days=1)
    if high is not None and high < _start(edge):
        edge = _day(high) + timedelta(days=0 if high == _start(_day(high)) else 1)
    last = date.min if most is None else edge - timedelta(days=most)
    while edge > last:
        edge = max(edge - timedelta(days=length), last)
        low = _start(edge)
        if edge <= oldest or (wanted.low is not None and low <= wanted.low):
            yield IdRange(wanted.low, high)
            return
        yield IdRange(low, high)
        high = low
        length = min(length * 2, _MOST_DAYS)


def oldest_first(after: UUID, beyond: UUID, days: tuple[date, date]) -> Iterator[IdRange]:
    """Split the ids behind `after`, up to and without `beyond`, for a search that goes forward.

    The day that `after` names, then more and more of them; it ends after some 120 days, so that no
    search takes long. Days without a partition are left out.
    """
    low = max(_next(after), _start(days[0]))
    beyond = min(beyond, _start(days[1] + timedelta(days=1)))
    edge = _day(low)
    for length in _FORWARD:
        if low >= beyond:
            return
        edge += timedelta(days=length)
        high = min(beyond, _start(edge))
        yield IdRange(low, high)
        low = high


async def ranges_of_deliveries(
    connection: AsyncConnection, first: UUID, last: UUID, integration_id: str | None = None
) -> list[IdRange]:
    """Return where the deliveries of the events from `first` to `last` are, oldest first.

    None is older than its event. What is not made at once is made by a replay, of which the row is
    kept for longer than its deliveries.
    """
    days = _days_from(_day(first), _day(last) + timedelta(days=1))
    asked = {"since": created_at(first), "integration_id": integration_id, "slack": _CLOCKS_DIFFER}
    days |= set(await connection.scalars(_REPLAYED_DAYS, asked))
    ranges: list[IdRange] = []
    begin = previous = min(days)
    for day in [*sorted(days)[1:], None]:
        if day is None or day - previous > _DAY or day - begin >= _DAY * _MOST_DAYS:
            ranges.append(IdRange(_start(begin), _start(previous + _DAY)))
            begin = day or begin
        previous = day or previous
    return ranges


async def read_newest(  # noqa: PLR0913 - what is known, and what it takes
    connection: AsyncConnection,
    wanted: IdRange,
    limit: int,
    select: Callable[[IdRange, int], Row],
    *,
    known: Sequence[RowMapping] = (),
    scans: int = 1,
    parts: int = 1,
) -> tuple[list[RowMapping], UUID | None]:
    """Return the newest rows of a range of ids, going back over the days until they are enough.

    `known` are its newest rows of another table, which count and are among what is returned.

    `parts` is how often a query reads each day's table, which its plan takes time for, and `scans`
    how many index scans a part takes for each day. No more days are read than are worth a page:
    then the id is returned below which nothing was looked at. Where scans are many, days are read
    one by one at first, and what clocks ahead of this one's have made is not seen until it is time.
    """
    rows: list[RowMapping] = []
    days = await kept_days(connection)
    ranges = newest_first(wanted, days, most=most_days(parts))
    if scans > MANY_SCANS and days is not None:
        now = datetime.now(UTC) + _CLOCKS_DIFFER
        high = min(each for each in (wanted.high, lowest_uuid(now)) if each is not None)
        most = max(1, _MOST_SCANS // scans)
        ranges = newest_first(IdRange(wanted.low, high), days, first=1, most=most)
    left_off = None
    for within in ranges:
        rows += await read_range(connection, select(within, limit - len(rows)))
        left_off = None if within.low == wanted.low else within.low
        if len(rows) + sum(within.low is None or row["id"] >= within.low for row in known) >= limit:
            break
    found = sorted((*rows, *known), key=lambda row: row["id"], reverse=True)
    if left_off is not None:
        found = [row for row in found if row["id"] >= left_off]
    return found[:limit], None if len(found) >= limit else left_off


def most_days(parts: int = 1) -> int:
    """Return how many days a page looks back over, by a plan that has each so many times."""
    return max(_ALWAYS_PLANNED, _PLANNED_DAYS // max(1, parts))


async def read_range(connection: AsyncConnection, query: Row) -> Sequence[RowMapping]:
    """Return a range's rows and give its locks back, which are several for each partition."""
    nested = await connection.begin_nested()
    rows = (await connection.execute(query)).mappings().all()
    await nested.rollback()
    return rows


def bounds(column: Any, within: IdRange) -> list[ColumnElement[bool]]:  # noqa: ANN401 - a mapped UUID column; its type differs with the access
    """Bound the ids, which name their moments, and with them the partitions."""
    bounds: list[ColumnElement[bool]] = []
    if within.low is not None:
        bounds.append(column >= within.low)
    if within.high is not None:
        bounds.append(column < within.high)
    return bounds


async def kept_days(connection: AsyncConnection) -> tuple[date, date] | None:
    """Return the first and the last day that have a partition."""
    return days_between(*(await connection.execute(_KEPT_DAYS)).one())


def _days_from(first: date, last: date) -> set[date]:
    return {first + timedelta(days=number) for number in range((last - first).days + 1)}


def _next(identifier: UUID) -> UUID:
    return UUID(int=identifier.int + 1)


def _day(moment: UUID) -> date:
    return created_at(moment).date()


def _midnight(moment: UUID, *, after: int = 0) -> UUID:
    """Return the lowest id of the day that an id names, or of one after it; of any id."""
    day = (moment.int >> 80) // _DAY_MS + after
    return UUID(int=min((day * _DAY_MS << 80) | _LOWEST_BITS, _HIGHEST.int))


def _start(day: date) -> UUID:
    return _lowest(datetime(day.year, day.month, day.day, tzinfo=UTC))


def _lowest(moment: datetime) -> UUID:
    return lowest_uuid(max(moment, _FIRST_MOMENT))
