"""SIGKILL at random moments, under load: 202 means durable."""

import random
from collections import Counter

import pytest

from factories import an_event
from support.account import Close, the_account
from support.ledger import Ledger
from support.postgres_clients import connection
from support.service import Services, eventually
from support.traffic import Traffic

SOON = {"DELIVERY_TIMEOUT": "1", "LEASE_MARGIN": "1"}  # seconds: a dead process' lease ends in 2
MANY = 300  # events in one batch
BUSY = 300  # events or deliveries between two kills, at the most

OTHERS = """
select count(*)
from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
"""


async def test_killed_at_random_moments_nothing_is_lost(
    together: Services, ledger: Ledger, port: str, closed: Close
) -> None:
    await killed_over_and_over(together, ledger, port, closed, kills=3)


async def test_what_comes_again_is_what_was_answered_last_and_not_written_yet(
    together: Services, ledger: Ledger
) -> None:
    service = await together.start(**SOON)
    await service.an_integration(ledger, maxInFlight=1)  # answered one after the other
    await service.send_batch([an_event(id=f"call-{number}") for number in range(MANY)])
    await ledger.until_received(MANY // 2)
    await service.kill()
    came = list(ledger.copies)
    held = set(await leased(together))

    again = await together.start(**SOON)
    deliveries = await again.all_settled()
    assert {each["status"] for each in deliveries} == {"delivered"}
    assert len(deliveries) == len(ledger.copies) == MANY
    repeated = [name for name, copies in ledger.copies.items() if copies > 1]
    assert repeated == came[len(came) - len(repeated) :], "written in the order of the answers"
    assert set(repeated) == set(came) & held, "in the middle of an attempt, and no others"
    assert ledger.torn == set()
    await again.stop()


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_killed_a_hundred_times_nothing_is_lost(
    together: Services, ledger: Ledger, port: str, closed: Close
) -> None:
    await killed_over_and_over(together, ledger, port, closed, kills=100)


async def killed_over_and_over(
    together: Services, ledger: Ledger, port: str, closed: Close, *, kills: int
) -> None:
    settings = SOON | {"PORT": port}
    service = await together.start(**settings)
    await service.an_integration(ledger)
    traffic = Traffic([service.url], together.admin_key)
    in_hand: Counter[str] = Counter()  # how often a delivery was in hand when its process died
    chance = random.Random(kills)  # noqa: S311 - which moments, not which secrets

    async with traffic.flowing():
        for _ in range(kills):
            await a_moment(chance, traffic, ledger)
            await service.kill()
            in_hand.update(await leased(together))
            service = await together.start(**settings)

    account = closed(await the_account(service, traffic, ledger))
    assert account.accepted == account.sent
    assert account.failed == 0
    assert account.duplicated == account.unrecorded
    too_often = {
        name: copies for name, copies in ledger.copies.items() if copies > 1 + in_hand[name]
    }
    assert too_often == {}, "came again though it was in nobody's hand at a kill"
    await service.stop()


async def a_moment(chance: random.Random, traffic: Traffic, ledger: Ledger) -> None:
    """Wait for any moment: right after an answer, or in the middle of an attempt."""
    more = chance.randrange(1, BUSY)
    if chance.random() < 0.5:
        await traffic.until_accepted(more)
    else:
        await ledger.until_received(ledger.received + more)


async def leased(together: Services) -> list[str]:
    """Return which deliveries a dead process holds, by their ids, once its sessions have ended."""
    async with connection(together.settings["DATABASE_URL"]) as client:
        await eventually(lambda: client.fetchval(OTHERS), lambda count: count == 0)
        rows = await client.fetch("select id from pending where lease is not null")
    return [str(row["id"]) for row in rows]
