"""Lists over a year of partitions: a page that finds little is cut short, and nothing is missed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID

import asyncpg
import pytest

from factories import a_principal
from hookline.db import connections
from hookline.db.partitions import of_days
from hookline.domain.access import Role
from hookline.domain.deliveries import DeliveryStatus
from hookline.domain.ids import lowest_uuid
from hookline.history.ranges import Period, most_days
from hookline.history.repository import Found, History
from hookline.history.statements import WantedDeliveries, WantedEvents

RowT = TypeVar("RowT")

NOW = datetime.now(UTC)
DAYS = 365
LIMIT = 20
ENDED = frozenset(DeliveryStatus) - {DeliveryStatus.PENDING}
INTEGRATIONS = """
insert into integrations (
    id, sequence, pbx, company, company_vouched, name, enabled, type, url, events, version, revision
)
values
    ('seldom', $1, 'one', 'both', true, 'one', true, 'WEBHOOK', '', '{}', 1, 1),
    ('never', $2, 'idle', 'nobody', true, 'one', true, 'WEBHOOK', '', '{}', 1, 1)
"""
EVENT = """
insert into events (id, pbx, company, type, subject, time, payload, splice)
values ($1, 'one', 'both', 'rare', 'call', 1, '{}', 1)
"""
DELIVERY = """
insert into deliveries (id, event_id, integration_id, type, status, attempts, finished_at)
values ($1, $1, 'seldom', 'rare', 'failed', 1, now())
"""
FOUND_ON = (0, 30, 39, 40, 90, 100, 200, 360)  # days ago


@pytest.fixture(scope="module")
async def ids(database: str) -> list[UUID]:
    """Fill a year's partitions with a few rows; return their ids, newest first."""
    connection = await asyncpg.connect(database)
    for partition in of_days((NOW - timedelta(days=day)).date() for day in range(-3, DAYS)):
        await connection.execute(partition.create())
    rows = [UUID(int=lowest_uuid(NOW - timedelta(days=day)).int + day) for day in FOUND_ON]
    await connection.execute(INTEGRATIONS, *rows[:2])
    await connection.executemany(EVENT, [(each,) for each in rows])
    await connection.executemany(DELIVERY, [(each,) for each in rows])
    await connection.close()
    return rows


@pytest.fixture
async def history(database: str) -> AsyncIterator[History]:
    engine = connections.engine(database, pool_size=1)
    yield History(engine)
    await engine.dispose()


EVENTS = {
    "a type": (a_principal(), WantedEvents(type="rare")),
    "a subject": (a_principal(), WantedEvents(subject="call")),
    "a tenant": (a_principal(Role.MANAGER, pbx="one"), WantedEvents()),
    "a PBX and a company": (a_principal(), WantedEvents("one", "both")),
    "a tenant without any": (a_principal(Role.MANAGER, pbx="idle"), WantedEvents()),
}
DELIVERIES = {
    "a type": (a_principal(), WantedDeliveries(type="rare")),
    "statuses": (a_principal(), WantedDeliveries(statuses=ENDED)),
    "a tenant": (a_principal(Role.MANAGER, pbx="one"), WantedDeliveries()),
    "a tenant without any": (a_principal(Role.MANAGER, pbx="idle"), WantedDeliveries()),
}


async def page_by_page(read: Callable[..., Awaitable[Found[RowT]]]) -> tuple[list[RowT], int]:
    """Read a list to its end; return its rows, and how many pages were cut short."""
    rows: list[RowT] = []
    cut = 0
    before: UUID | None = None
    while True:
        found = await read(before=before, limit=LIMIT)
        rows += found.items
        if found.left_off is None:
            return rows, cut
        cut, before = cut + 1, found.left_off


@pytest.mark.parametrize("asked", EVENTS)
async def test_events_are_found_page_by_page(ids: list[UUID], history: History, asked: str) -> None:
    caller, wanted = EVENTS[asked]
    found, cut = await page_by_page(partial(history.events, caller, wanted))
    whole = [each.event_id for each in found]
    assert whole == ([] if caller.pbx == "idle" else ids)
    assert 3 <= cut <= DAYS // most_days(2) + 1


@pytest.mark.parametrize("asked", DELIVERIES)
async def test_deliveries_are_found_page_by_page(
    ids: list[UUID], history: History, asked: str
) -> None:
    caller, wanted = DELIVERIES[asked]
    found, cut = await page_by_page(partial(history.deliveries, caller, wanted))
    whole = [each.id for each in found]
    assert whole == ([] if caller.pbx == "idle" else ids)
    assert 3 <= cut <= DAYS // most_days(len(ENDED)) + 1


async def test_a_page_looks_back_over_as_many_days_as_are_kept_unless_told_otherwise(
    ids: list[UUID], history: History
) -> None:
    """So who keeps 30 days never meets a page that is cut short by days."""
    recent = Period(since=NOW - timedelta(days=35))
    for asked in (WantedDeliveries(), WantedDeliveries(statuses=ENDED)):
        wanted = WantedDeliveries("seldom", asked.statuses, None, recent)
        found = await history.deliveries(a_principal(), wanted, before=None, limit=LIMIT)
        assert [each.id for each in found.items] == ids[:2]
        assert found.left_off is None
    events = WantedEvents("one", "both", accepted=recent)
    listed = await history.events(a_principal(), events, before=None, limit=LIMIT)
    assert [each.event_id for each in listed.items] == ids[:2]
    assert listed.left_off is None


@pytest.mark.parametrize("asked", ["a tenant", "a PBX and a company", "a tenant without any"])
async def test_the_last_events_are_found_however_old_they_are(
    ids: list[UUID], history: History, asked: str
) -> None:
    caller, wanted = EVENTS[asked]
    for most in (1, 5, len(ids), 100):
        found = await history.last_events(caller, wanted, most=most)
        assert [each.event_id for each in found] == ([] if caller.pbx == "idle" else ids[:most])
