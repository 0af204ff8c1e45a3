from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from hookline.db import connections
from hookline.domain.health import HealthRules
from hookline.integrations.health import HealthRecords
from hookline.integrations.revision import Transactions
from hookline.security.secrets import KeyRing, generate_key
from support.watching import DOWN, RULES, WELL, Process


@pytest.fixture(scope="module")
async def transactions(database: str) -> AsyncIterator[Transactions]:
    engine = connections.engine(database)
    yield Transactions(engine)
    await engine.dispose()


@pytest.fixture
async def processes(transactions: Transactions) -> tuple[Process, Process]:
    keyring = KeyRing.parse(generate_key())
    made = Process(transactions, keyring), Process(transactions, keyring)
    await made[0].told()  # what other tests left
    return made


@pytest.fixture
def process(processes: tuple[Process, Process]) -> Process:
    return processes[0]


async def test_what_one_process_pauses_is_paused_in_all(
    processes: tuple[Process, Process],
) -> None:
    one, other = processes
    target = await one.an_integration()
    await one.pause(target)
    assert not other.watch.is_paused(target)
    await other.watch.exchange()
    assert other.watch.is_paused(target)
    assert target in other.watch.paused()


async def test_a_success_in_any_process_recovers_it_in_all_and_one_tells(
    processes: tuple[Process, Process],
) -> None:
    one, other = processes
    target = await one.an_integration()
    await other.subscriptions.catch_up()
    await one.pause(target)
    await other.watch.exchange()
    for process in processes:
        process.saw(target, WELL)
    assert await other.watch.exchange() == {target}, "it tells what may go on"
    assert await one.watch.exchange() == {target}
    told = [kind for process in processes for kind, _ in await process.told()]
    assert told == ["integration:paused", "integration:recovered"]


async def test_a_target_that_goes_up_and_down_between_rounds_costs_no_write(
    process: Process, transactions: Transactions
) -> None:
    target = await process.an_integration()
    for _ in range(200):
        process.saw(target, DOWN, times=3)
        process.saw(target, WELL)
    await process.watch.exchange()
    assert target not in process.watch.paused()
    assert await process.told() == []
    assert target not in await HealthRecords(transactions, RULES).load()


async def test_after_enabling_failures_are_counted_anew(process: Process) -> None:
    target = await process.an_integration()
    await process.pause(target)
    await process.change(target, enabled=True)
    assert await process.watch.exchange() == {target}
    process.saw(target, DOWN)
    await process.watch.exchange()
    process.saw(target, DOWN)
    await process.watch.exchange()
    assert not process.watch.is_paused(target)


async def test_the_next_probe_is_due_by_the_databases_clock(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = await process.an_integration()
    await process.pause(target)
    assert process.watch.probes_due() == []
    assert await process.watch.take_probes([target]) == set()
    later = process.watch._clock() + 31
    monkeypatch.setattr(process.watch, "_clock", lambda: later)
    assert target in process.watch.probes_due()


async def test_days_of_failing_disable_once(
    processes: tuple[Process, Process],
) -> None:
    rules = HealthRules(failing_after=1, disable_after=timedelta(0))
    target = await processes[0].an_integration()
    for process in processes:
        await process.subscriptions.catch_up()
        process.watch._rules = rules
    for process in processes:
        process.saw(target, DOWN)
        await process.watch.exchange()
    for process in processes:
        process.saw(target, DOWN)
        await process.watch.exchange()
    told = [each for process in processes for each in await process.told()]
    [(kind, data)] = told
    assert kind == "integration:disabled"
    assert data["integrationId"] == target
    assert (data["state"], data["reason"], data["disabledBy"], data["lastError"]) == (
        "disabled",
        "failing",
        "hookline",
        "timeout",
    )
    assert data["since"] is not None
