"""Notices tell integrations what became of others: written with that change, kept until accepted.

The writer of the tables `notices` and `exhausted_deliveries`. One process at a time takes notices,
whichever asks first, so they go in order; one that dies meanwhile leaves them to the others. What
is too old or too much is dropped: the health of integrations is in the API, whatever is told of it.

A notice is written down first and becomes an event later, of the group `service`, from what was
written alone. However often it is made, its bytes are the same, so ingest knows it again.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
from sqlalchemy import CursorResult, delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.errors import rerunnable
from hookline.db.models import ExhaustedDeliveries, Integration, WaitingNotice
from hookline.db.statements import notification, statement
from hookline.domain.deliveries import ErrorKind
from hookline.domain.events import Event, Limits, parse_event
from hookline.domain.health import Health, HealthState
from hookline.domain.stored import error_of
from hookline.integrations.revision import Transactions
from hookline.logs import get_logger

MOST_EXAMPLES: Final = 10  # ids of deliveries in one notice
_NO_COMPANY: Final = "unknown"  # an envelope has a company; here nobody ever said which
_MILLISECONDS: Final = 1000  # in a second: envelopes count those

NOTICES_CHANNEL: Final = "hookline_notices"  # NOTIFY says that something is to be told: a hint

_MOST_WAITING = 10_000  # notices; more than integrations change their state while nothing is taken
_MOST_OF_TENANT = 1_000  # of those, for one PBX or company: it must not push out what others have
_OLDEST = timedelta(days=1)  # shorter than duplicates are remembered, as they are by default
_GROUPED_OVER = timedelta(minutes=1)  # between two notices of one integration's deliveries
_MOST_GROUPS = 500  # a transaction: the others are as due in the next round

LOCK: Final = 7524882318093774954  # an advisory lock of its own: one process at a time
_ALONE = text("select pg_try_advisory_xact_lock(:lock)").bindparams(lock=LOCK)
_WAIT = text(statement("integrations/notices_wait"))
_DUE = text(statement("integrations/exhausted_due")).bindparams(most=_MOST_GROUPS)
_WRITE = text(statement("integrations/write_notices"))
_COUNT = text(statement("integrations/count_exhausted"))
_DROP = text(statement("integrations/drop_notices"))
_LOG = get_logger(__name__)

Data = dict[str, object]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell of an integration; `data` is what the type says of it."""

    type: str
    integration_id: str
    data: Data


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Deliveries that failed for good: how many, the first few, and what the last one ran into."""

    count: int = 0
    examples: tuple[str, ...] = ()
    error: ErrorKind | None = None

    def followed_by(self, later: "Exhausted") -> "Exhausted":
        """Return both together."""
        examples = (self.examples + later.examples)[:MOST_EXAMPLES]
        return Exhausted(self.count + later.count, examples, later.error)


@dataclass(frozen=True, slots=True)
class WrittenNotice:
    """A notice as it was written down, with the tenant and the name that it tells of."""

    id: int
    notice: Notice
    name: str
    pbx: str | None
    company: str | None
    told_at: datetime

    def event(self) -> Event:
        """Return the event: equal bytes for an equal row."""
        about = self.notice.integration_id
        envelope = {
            "id": about,
            "pbx": self.pbx,
            "company": self.company or _NO_COMPANY,
            "time": int(self.told_at.timestamp() * _MILLISECONDS),
            "type": self.notice.type,
            "data": {"integrationId": about, "name": self.name, **self.notice.data},
        }
        return parse_event(orjson.dumps(envelope), Limits())


def paused(integration_id: str, health: Health) -> Notice:
    """Tell that an integration's deliveries wait from now on."""
    return Notice("integration:paused", integration_id, _health_data(HealthState.PAUSED, health))


def recovered(integration_id: str, before: Health) -> Notice:
    """Tell that a paused integration takes deliveries again."""
    return Notice(
        "integration:recovered", integration_id, _health_data(HealthState.HEALTHY, before)
    )


def disabled(integration_id: str, reason: str, by: str, health: Health) -> Notice:
    """Tell that an integration was switched off, why and by whom, and its health until then."""
    data = _health_data(HealthState.DISABLED, health) | {"reason": reason, "disabledBy": by}
    return Notice("integration:disabled", integration_id, data)


def exhausted(integration_id: str, deliveries: Exhausted) -> Notice:
    """Tell of deliveries that failed for good."""
    data: Data = {
        "count": deliveries.count,
        "deliveryIds": deliveries.examples,
        "lastError": deliveries.error,
    }
    return Notice("delivery:exhausted", integration_id, data)


def _health_data(state: HealthState, health: Health) -> Data:
    since = health.failing_since
    return {
        "state": state,
        "reason": None,
        "disabledBy": None,
        "since": None if since is None else _timestamp(since),
        "lastError": health.last_error,
    }


def _timestamp(moment: datetime) -> str:
    """Write it as JavaScript does, and as the examples of these types have it."""
    told = moment.astimezone(UTC).replace(tzinfo=None)
    return f"{told.isoformat(timespec='milliseconds')}Z"


async def write_notices(session: AsyncSession, notices: Sequence[Notice]) -> None:
    """Write notices in the caller's transaction: they are told if it is committed, and only then.

    Those of integrations that are deleted are left out.
    """
    if not notices:
        return
    await session.flush()  # an integration that is renamed by the same change has its new name
    parameters = {
        "types": [notice.type for notice in notices],
        "ids": [notice.integration_id for notice in notices],
        "data": [orjson.dumps(notice.data).decode() for notice in notices],
    }
    await session.execute(_WRITE, parameters)
    await session.execute(notification(NOTICES_CHANNEL))


class Outbox:
    """What waits to be told. Each method is a transaction, and raises Unavailable."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    @rerunnable
    async def count(self, counted: Mapping[str, Exhausted]) -> None:
        """Add what one process counted to what all did, by integration."""
        async with self._transactions.noting() as session:
            parameters = {
                "ids": list(counted),
                "counts": [each.count for each in counted.values()],
                "examples": [" ".join(each.examples) for each in counted.values()],
                "errors": [each.error for each in counted.values()],
                "most": MOST_EXAMPLES,
            }
            rows = await session.execute(_COUNT, parameters)
            if any(rows.scalars()):
                await session.execute(notification(NOTICES_CHANNEL))

    async def has_work(self) -> bool:
        """Tell whether `gather` and `taking` would find anything."""
        async with self._transactions.reading() as session:
            return bool((await session.execute(_WAIT)).scalar())

    @rerunnable
    async def gather(self) -> None:
        """Make notices of the exhausted deliveries that are due; drop what is too old or too much.

        A transaction before that of `taking`: once a notice was handed out, its row never changes.
        """
        async with self._transactions.noting() as session:
            if not await _is_alone(session):
                return
            await _drop(session)
            due = select(ExhaustedDeliveries).from_statement(_DUE)
            notices: list[Notice] = []
            for row in (await session.scalars(due)).all():
                if row.count:
                    notices.append(_begin_anew(row))
                else:
                    await session.delete(row)
            await write_notices(session, notices)

    @asynccontextmanager
    async def taking(self, most: int) -> AsyncIterator[list[WrittenNotice]]:
        """Hand out the oldest notices; they are gone when the block ends without an error.

        To one process at a time: nothing is handed out where another is at it. Nothing is told of
        integrations that were deleted meanwhile.
        """
        async with self._transactions.noting() as session:
            if not await _is_alone(session):
                yield []
                return
            oldest = (
                select(WaitingNotice, Integration.deleted_at.is_(None))
                .join(Integration, Integration.id == WaitingNotice.integration_id)
                .order_by(WaitingNotice.id)
                .limit(most)
            )
            rows = (await session.execute(oldest)).all()
            yield [_written(row) for row, lives in rows if lives]
            if taken := [row.id for row, _ in rows]:
                await session.execute(delete(WaitingNotice).where(WaitingNotice.id.in_(taken)))


async def _is_alone(session: AsyncSession) -> bool:
    """Keep others from taking until this transaction ends; tell whether nobody keeps us."""
    return bool((await session.execute(_ALONE)).scalar())


async def _drop(session: AsyncSession) -> None:
    bounds = {"oldest": _OLDEST, "most": _MOST_WAITING, "each": _MOST_OF_TENANT}
    dropped = await session.execute(_DROP, bounds)
    if isinstance(dropped, CursorResult) and dropped.rowcount:
        _LOG.warning("notices.dropped", count=dropped.rowcount)


def _begin_anew(row: ExhaustedDeliveries) -> Notice:
    """Return what is to be told of a row, and have it count from nothing until the next notice."""
    examples = tuple(str(each) for each in row.examples)
    notice = exhausted(row.integration_id, Exhausted(row.count, examples, error_of(row.last_error)))
    row.count, row.examples = 0, []
    row.due_at = func.now() + _GROUPED_OVER
    return notice


def _written(row: WaitingNotice) -> WrittenNotice:
    notice = Notice(row.type, row.integration_id, orjson.loads(row.data))
    return WrittenNotice(row.id, notice, row.name, row.pbx, row.company, row.told_at)
