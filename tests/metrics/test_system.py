import asyncio
from dataclasses import dataclass

from hookline import __version__
from hookline.background import Periodic
from hookline.integrations.revision import Transactions
from hookline.metrics.counters import Totals
from hookline.metrics.system import BEAT_EVERY, Heartbeat, Held, Rates
from support.postgres_clients import ask

NOTHING = Totals(0, 0, 0)


@dataclass(slots=True)
class Scripted:
    """What a process counted, and the time on its clock."""

    totals: Totals = NOTHING
    now: float = 1000.0


def a_heartbeat(transactions: Transactions, script: Scripted, **rest: object) -> Heartbeat:
    how = {"held": lambda: Held(5, 3), "api": True} | rest
    return Heartbeat(transactions, lambda: script.totals, clock=lambda: script.now, **how)  # type: ignore[arg-type]


async def test_processes_know_of_each_other_until_they_leave(transactions: Transactions) -> None:
    engine = a_heartbeat(transactions, Scripted())
    api = a_heartbeat(transactions, Scripted(), held=None)
    await engine.beat()
    await api.beat()
    first, second = await api.all()
    assert (first.engine, first.held, first.version) == (True, Held(5, 3), __version__)
    assert (second.engine, second.api, second.held) == (False, True, Held())
    assert first.pid > 0
    assert first.host
    await engine.leave()
    assert [each.id for each in await api.all()] == [second.id]
    await api.leave()
    assert await api.all() == []


async def test_rates_are_over_the_last_minute_and_before_it_over_the_life_so_far(
    transactions: Transactions,
) -> None:
    script = Scripted()
    heartbeat = a_heartbeat(transactions, script)

    async def rates() -> Rates:
        await heartbeat.beat()
        [process] = await heartbeat.all()
        return process.rates

    script.now, script.totals = 1010.0, Totals(50, 20, 0)
    assert await rates() == Rates(5.0, 2.0, 0.0)
    script.now, script.totals = 1060.0, Totals(50, 20, 6)
    assert await rates() == Rates(50 / 60, 20 / 60, 0.1)
    script.now = 1110.0
    assert await rates() == Rates(0.0, 0.0, 0.06)  # since 1010, 100 seconds ago: the last sample
    script.now = 1121.0
    assert await rates() == Rates(0.0, 0.0, 0.0)
    await heartbeat.leave()


async def test_a_process_that_says_nothing_is_not_listed_and_its_row_goes(
    transactions: Transactions, database: str
) -> None:
    silent, other = (a_heartbeat(transactions, Scripted()) for _ in range(2))
    await silent.beat()
    await ask(database, "update processes set seen_at = now() - interval '21 seconds' returning 1")
    assert await other.all() == []
    await other.beat()
    assert await ask(database, "select count(*) from processes") == 1
    await other.leave()


async def test_a_process_writes_its_row_as_soon_as_it_runs(transactions: Transactions) -> None:
    heartbeat = a_heartbeat(transactions, Scripted())
    beaten = asyncio.Event()
    beat = heartbeat.beat

    async def noted() -> None:
        await beat()
        beaten.set()

    heartbeat.beat = noted  # type: ignore[method-assign]
    task = asyncio.create_task(Periodic("heartbeat", heartbeat.beat, BEAT_EVERY).run())
    await beaten.wait()
    task.cancel()
    assert len(await heartbeat.all()) == 1
    await heartbeat.leave()
