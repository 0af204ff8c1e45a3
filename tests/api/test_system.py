from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from factories import Json
from hookline import __version__
from hookline.api.dependencies import Services
from hookline.db.migrate import newest_revision
from hookline.integrations.health import StateCounts
from hookline.integrations.revision import Transactions
from hookline.metrics.system import System
from hookline.queue.overview import QueueOverview
from hookline.queue.postgres import PostgresQueue
from support.api_client import Api
from support.event_history import a_pbx, an_integration, claim, send
from support.postgres_clients import ask


@pytest.fixture
def fresh(services: Services) -> Iterator[None]:
    """Have each report made anew: an hour passes between two looks at the clock."""
    system = services.system
    assert isinstance(system, System)
    usual, hours = system._clock, count(1, 3600)
    system._clock = lambda: float(next(hours))
    system._report = None
    yield
    system._clock = usual


async def overview(api: Api) -> Json:
    answer = await api.get("/v1/system")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


@pytest.mark.usefixtures("fresh")
async def test_the_backlog_is_told_by_state_and_by_tenant(
    api: Api, queue: PostgresQueue, database: str
) -> None:
    before = (await overview(api))["backlog"]
    pbx, company = a_pbx(), f"it_{a_pbx()}"
    described = {"company": company, "license": "x-bees"}
    assert (await api.put(f"/v1/pbxs/{pbx}", described)).status_code == 200
    integration = await an_integration(api, pbx=pbx, company=company)
    for _ in range(2):
        await send(api, pbx=pbx, company=company, id=a_pbx())
    leased = await claim(queue, integration)
    for _ in range(3):
        await send(api, pbx=pbx, company=company, id=a_pbx())
    await ask(
        database,
        "update pending set due_at = now() + interval '1 hour' where id = (select id from pending"
        " where integration_id = $1 order by id desc limit 1) returning id",
        integration,
    )

    after = (await overview(api))["backlog"]

    changes = {name: after[name] - before[name] for name in ("pending", "leased", "due")}
    assert changes == {"pending": 5, "leased": len(leased), "due": 2}
    assert after["scheduled"] - before["scheduled"] == 1
    assert {"pbx": pbx, "company": company, "pending": 5} in after["tenants"]
    assert not after["estimated"]


@pytest.mark.usefixtures("fresh")
async def test_what_is_due_for_longest_is_named_unless_its_integration_is_paused(
    api: Api, database: str
) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    await send(api, pbx=pbx, id=a_pbx())
    await ask(
        database,
        "update pending set due_at = now() - interval '10 hours' where integration_id = $1"
        " returning id",
        integration,
    )

    due = (await overview(api))["oldestDue"]
    assert due["integrationId"] == integration
    assert 36_000_000 <= due["waitedMs"] < 36_060_000

    await ask(
        database,
        "insert into integration_health (integration_id, state, failing_since, last_error_at,"
        " paused_until) values ($1, 'paused', now(), now(), now()) returning 1",
        integration,
    )
    due = (await overview(api))["oldestDue"]
    assert due is None or due["integrationId"] != integration


@pytest.mark.usefixtures("fresh")
async def test_the_database_its_days_and_its_migration_are_told(api: Api) -> None:
    found = await overview(api)
    assert found["version"] == __version__
    assert found["migrations"] == {"current": newest_revision(), "newest": newest_revision()}
    assert found["partitions"]["days"] >= 5
    assert found["partitions"]["oldest"] < found["partitions"]["newest"]
    assert found["database"]["encoding"] == "UTF8"
    assert found["database"]["sizeBytes"] > 1_000_000
    assert 0 < found["database"]["connections"] <= found["database"]["connectionsLimit"]
    assert set(found["integrations"]) == {"healthy", "failing", "paused", "disabled"}
    assert found["engines"] == []
    [process] = found["apiProcesses"]
    assert process["api"]


async def test_many_who_look_at_once_are_answered_by_one_look(
    engine: AsyncEngine, transactions: Transactions, services: Services, queue: PostgresQueue
) -> None:
    looks = count()

    async def count_by_state() -> dict[object, int]:
        next(looks)
        return {}

    known = services.system
    assert isinstance(known, System)
    system = System(
        records=engine,
        overview=QueueOverview(queue._pool),
        subscriptions=known._subscriptions,
        heartbeat=known._heartbeat,
        count_by_state=count_by_state,  # type: ignore[arg-type]
        paused=StateCounts(transactions).paused,
        most_pending=1,
        clock=lambda: 1000.0,
    )
    first = await system.report()
    assert await system.report() is first
    assert next(looks) == 1
