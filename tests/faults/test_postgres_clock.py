"""The clock of Postgres steps an hour forwards and back: nothing is lost, nothing waits for it.

Forwards, all leases run out at once: what is under way may be attempted once more by another
process, with the same bytes. Back, due times would lie an hour ahead; they are brought down.
"""

import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.account import Close, the_account
from support.clock import SteppedClock, clock_of_servers
from support.ledger import Ledger
from support.own_postgres import OwnPostgres, migrated, own_postgres
from support.places import passable_folder
from support.postgres_clients import ask
from support.service import Services, services
from support.traffic import Traffic

MOST = 8  # deliveries under way
HELD = 4 * MOST  # leased: those, and what is at hand for when they end
HOUR = 3600.0
SOON = {"DELIVERY_TIMEOUT": "2", "LEASE_MARGIN": "1", "RETRY_DELAYS": "0.2,0.2,0.2"}


@pytest.fixture(scope="module")
def place(clock_library: Path) -> Iterator[tuple[Path, Path]]:
    with passable_folder() as folder:
        yield folder, clock_library


@pytest.fixture(scope="module")
def clock(place: tuple[Path, Path]) -> Iterator[SteppedClock]:
    with clock_of_servers(*place) as stepped:
        yield stepped


@pytest.fixture(scope="module")
async def server(clock: SteppedClock, place: tuple[Path, Path]) -> AsyncIterator[OwnPostgres]:
    clock.step(hours=0)
    async with own_postgres(place[0]) as opened:
        yield opened


@pytest.fixture
async def over(server: OwnPostgres, clock: SteppedClock, tmp_path: Path) -> AsyncIterator[Services]:
    """Services over a database whose clock is ours; at the end it goes right again."""
    async with migrated(server) as dsn:
        async with services(tmp_path, DATABASE_URL=dsn) as opened:
            yield opened
        clock.step(hours=0)


async def hours_off(services: Services) -> int:
    """Return how far the database's clock is from ours."""
    now: datetime = await ask(services.settings["DATABASE_URL"], "select now()")
    return round((now - datetime.now(UTC)).total_seconds() / HOUR)


async def test_a_step_of_the_databases_clock_loses_nothing_and_repeats_at_most_what_was_held(
    over: Services, ledger: Ledger, clock: SteppedClock, closed: Close
) -> None:
    patient = SOON | {"LEASE_MARGIN": "300"}
    first, second = await over.start(**patient), await over.start(**patient)
    await first.an_integration(ledger, maxInFlight=MOST)
    traffic = Traffic([first.url, second.url], over.admin_key)
    ledger.delay = 0.03
    off = []

    async with traffic.flowing():
        for hours, sign in ((0, ""), (1, "forward"), (0, "back"), (-1, "back"), (0, "forward")):
            clock.step(hours=hours)
            off.append(await hours_off(over))
            for service in (first, second):
                if sign:
                    await service.command.complains(rf'"clock\.went_{sign}"')
            await traffic.until_accepted(25)

    await the_account(first, traffic, ledger)
    ledger.hold()
    received = ledger.received
    await traffic.send(MOST // 2)
    await ledger.until_received(received + MOST // 2)
    first.command.process.send_signal(signal.SIGSTOP)
    clock.step(hours=1)
    ledger.release()
    await the_account(second, traffic, ledger)  # what the first one held, long before its lease
    first.command.process.send_signal(signal.SIGCONT)

    account = closed(await the_account(first, traffic, ledger))
    assert off == [0, 1, 0, -1, 0], "the clock did not step"
    assert traffic.given_up == {}
    assert account.accepted == account.sent == account.delivered
    assert account.duplicated <= 2 * HELD + MOST // 2, "what was held when it went forwards"
    assert (account.failed, traffic.without_retry_after) == (0, 0)
    for service in (first, second):
        await service.stop()


@pytest.mark.soak
async def test_what_a_dead_process_held_and_what_waits_does_not_wait_for_an_hour_gone_back(
    over: Services, ledger: Ledger, clock: SteppedClock, closed: Close
) -> None:
    service = await over.start("--no-engine", **SOON)
    await service.an_integration(ledger, maxInFlight=MOST)
    traffic = Traffic([service.url], over.admin_key)
    doomed = await over.a_worker(**SOON)
    ledger.hold()
    await traffic.send(2 * HELD)
    await ledger.until_received(MOST)
    assert await doomed.stop(signal.SIGKILL) == -signal.SIGKILL

    clock.step(hours=-1)
    ledger.release()
    heir = await over.a_worker(**SOON)

    account = closed(await the_account(service, traffic, ledger))
    assert await hours_off(over) == -1
    assert account.delivered == 2 * HELD
    assert account.duplicated == MOST
    assert await heir.stop() == 0
    await service.stop()
