"""Postgres moved, silent, locked or half cut off: each fault that has a shape of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from factories import an_event
from support.account import Close, assert_each_delivered_once, the_account
from support.leases import held_leases, run_out
from support.ledger import Ledger
from support.own_postgres import OwnPostgres, migrated, terminate
from support.postgres_clients import ask, connection
from support.proxy import Proxy, proxied
from support.service import Services, eventually, services
from support.traffic import Traffic

AT_ONCE = 16
LONG = "600"  # seconds: whatever waited for a lease to run out would be seen to wait
PATIENT = {"DELIVERY_TIMEOUT": "300"}  # seconds: no attempt times out while Postgres stops
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"


@pytest.fixture
async def proxy(own: OwnPostgres) -> AsyncIterator[Proxy]:
    """A network in front of a database of this test's own."""
    async with migrated(own) as dsn, proxied(dsn) as opened:
        yield opened


@pytest.fixture
async def beyond(tmp_path: Path, proxy: Proxy) -> AsyncIterator[Services]:
    """Services that reach their database over that network."""
    async with services(tmp_path, DATABASE_URL=proxy.dsn) as opened:
        yield opened


async def test_a_database_that_fails_over_is_followed_to_its_new_address(
    beyond: Services, proxy: Proxy, ledger: Ledger, closed: Close
) -> None:
    service = await beyond.start(LEASE_MARGIN=LONG)
    await service.an_integration(ledger)
    traffic = Traffic([service.url], beyond.admin_key)

    async with traffic.flowing(AT_ONCE):
        for _ in range(3):
            await traffic.until_accepted(100)
            proxy.fail_over()
        await traffic.until_accepted(100)

    account = closed(await the_account(service, traffic, ledger))
    assert_each_delivered_once(account, traffic)
    await service.stop()


@pytest.mark.soak
async def test_a_database_host_that_is_gone_without_goodbye_is_given_up(
    beyond: Services, proxy: Proxy, ledger: Ledger, closed: Close
) -> None:
    service = await beyond.start(LEASE_MARGIN=LONG)
    await service.an_integration(ledger)
    traffic = Traffic([service.url], beyond.admin_key)

    async with traffic.flowing(AT_ONCE):
        await traffic.until_accepted(100)
        proxy.fall_silent()
        await traffic.until_refused(2 * AT_ONCE)
        proxy.forget_the_silent()
        await traffic.until_accepted(100)

    account = closed(await the_account(service, traffic, ledger))
    assert_each_delivered_once(account, traffic)
    assert traffic.without_retry_after == 0
    await service.stop()


async def test_what_was_stored_though_nobody_heard_of_it_is_delivered_once(
    beyond: Services, proxy: Proxy, ledger: Ledger, closed: Close
) -> None:
    service = await beyond.start(LEASE_MARGIN=LONG)
    await service.an_integration(ledger)
    traffic = Traffic([service.url], beyond.admin_key)
    await traffic.send(AT_ONCE)
    await ledger.until_received(AT_ONCE)

    async with traffic.flowing(AT_ONCE):
        await traffic.until_accepted(1)
        proxy.keep_replies_back()
        await eventually(lambda: unanswered(proxy), bool)
        proxy.cut()
        proxy.forget_the_silent()
        await traffic.until_accepted(100)

    account = closed(await the_account(service, traffic, ledger))
    assert_each_delivered_once(account, traffic)
    await service.stop()


async def unanswered(proxy: Proxy) -> int:
    return proxy.kept_back


@pytest.mark.parametrize("table", ["pending", "revision"])
async def test_a_lock_that_is_held_delays_and_loses_nothing(
    apart: Services, ledger: Ledger, closed: Close, table: str
) -> None:
    service = await apart.start()
    await service.an_integration(ledger)
    traffic = Traffic([service.url], apart.admin_key)
    dsn = apart.settings["DATABASE_URL"]

    async with traffic.flowing(AT_ONCE):
        await traffic.until_accepted(100)
        async with connection(dsn) as client, client.transaction():
            await client.execute(f"lock table {table} in access exclusive mode")
            await eventually(lambda: ask(dsn, WAITING), lambda waiting: waiting >= 1)
            stored = await client.fetchval("select count(*) from events")
            await traffic.until_accepted(stored - len(traffic.accepted))  # answers on their way
            assert (await service.api.get("/livez")).status_code == 200
            assert len(traffic.accepted) == stored
        await traffic.until_accepted(100)

    account = closed(await the_account(service, traffic, ledger))
    assert_each_delivered_once(account, traffic)
    await service.stop()


@pytest.mark.soak
async def test_a_lock_longer_than_a_statement_may_take_is_a_503(
    apart: Services, ledger: Ledger, closed: Close
) -> None:
    service = await apart.start()
    await service.an_integration(ledger)
    traffic = Traffic([service.url], apart.admin_key)

    async with traffic.flowing(AT_ONCE):
        await traffic.until_accepted(100)
        async with connection(apart.settings["DATABASE_URL"]) as client, client.transaction():
            await client.execute("lock table pending in access exclusive mode")
            await traffic.until_refused(AT_ONCE)
        await traffic.until_accepted(100)

    account = closed(await the_account(service, traffic, ledger))
    assert_each_delivered_once(account, traffic)
    assert traffic.without_retry_after == 0
    await service.stop()


async def test_a_listener_that_is_cut_alone_hears_again(apart: Services, ledger: Ledger) -> None:
    seldom = {"POLL_INTERVAL": "60"}  # seconds: what comes sooner was heard of
    service = await apart.start("--no-engine", **seldom)
    worker = await apart.a_worker(**seldom)
    await service.an_integration(ledger)
    await service.send(an_event(id="before"))
    await ledger.until_received(1)

    for number in range(3):
        listens = "application_name = 'hookline listener'"
        cut = await terminate(apart.settings["DATABASE_URL"], f"({listens})")
        assert cut >= 1
        await service.send(an_event(id=f"after-{number}"))
        await ledger.until_received(2 + number, within=30)

    assert set(ledger.copies.values()) == {1}
    assert await worker.stop() == 0
    await service.stop()


async def test_what_succeeded_and_could_never_be_written_is_told_apart(
    apart: Services, own: OwnPostgres, ledger: Ledger, closed: Close
) -> None:
    dsn = apart.settings["DATABASE_URL"]
    service = await apart.start(**PATIENT)
    await service.an_integration(ledger, maxInFlight=4)
    traffic = Traffic([service.url], apart.admin_key)
    ledger.hold()
    await traffic.send(20)
    await ledger.until_received(4)

    async with own.stopped():
        ledger.release()
        await eventually(lambda: answered(ledger), bool)
        await service.kill()
    await run_out(dsn, await held_leases(dsn))
    service = await apart.start(**PATIENT)

    account = closed(await the_account(service, traffic, ledger))
    assert account.delivered == 20
    assert 4 <= account.duplicated == account.unrecorded
    await service.stop()


async def answered(ledger: Ledger) -> bool:
    return not ledger.under_way
