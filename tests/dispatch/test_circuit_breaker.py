from datetime import timedelta

import pytest

from hookline.domain.health import HealthRules
from hookline.integrations.health import HealthRecords
from hookline.integrations.revision import Transactions
from hookline.security.secrets import KeyRing, generate_key
from support.watching import DOWN, RULES, WELL, Process


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
    assert not other.monitor.is_paused(target)
    await other.monitor.sync()
    assert other.monitor.is_paused(target)
    assert target in other.monitor.paused()


async def test_a_success_in_any_process_recovers_it_in_all_and_one_tells(
    processes: tuple[Process, Process],
) -> None:
    one, other = processes
    target = await one.an_integration()
    await other.subscriptions.catch_up()
    await one.pause(target)
    await other.monitor.sync()
    for process in processes:
        process.saw(target, WELL)
    assert await other.monitor.sync() == {target}, "it tells what may go on"
    assert await one.monitor.sync() == {target}
    told = [kind for process in processes for kind, _ in await process.told()]
    assert told == ["integration:paused", "integration:recovered"]


async def test_a_target_that_goes_up_and_down_between_rounds_costs_no_write(
    process: Process, transactions: Transactions
) -> None:
    target = await process.an_integration()
    for _ in range(200):
        process.saw(target, DOWN, times=3)
        process.saw(target, WELL)
    await process.monitor.sync()
    assert target not in process.monitor.paused()
    assert await process.told() == []
    assert target not in await HealthRecords(transactions, RULES).load()


async def test_after_enabling_failures_are_counted_anew(process: Process) -> None:
    target = await process.an_integration()
    await process.pause(target)
    await process.change(target, enabled=True)
    assert await process.monitor.sync() == {target}
    process.saw(target, DOWN)
    await process.monitor.sync()
    process.saw(target, DOWN)
    await process.monitor.sync()
    assert not process.monitor.is_paused(target)


async def test_the_next_probe_is_due_by_the_databases_clock(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = await process.an_integration()
    await process.pause(target)
    assert process.monitor.probes_due() == []
    assert await process.monitor.take_probes([target]) == set()
    later = process.monitor._clock() + 31
    monkeypatch.setattr(process.monitor, "_clock", lambda: later)
    assert target in process.monitor.probes_due()


async def test_days_of_failing_disable_once(
    processes: tuple[Process, Process],
) -> None:
    rules = HealthRules(failing_after=1, disable_after=timedelta(0))
    target = await processes[0].an_integration()
    for process in processes:
        await process.subscriptions.catch_up()
        process.monitor._rules = rules
    for process in processes:
        process.saw(target, DOWN)
        await process.monitor.sync()
    for process in processes:
        process.saw(target, DOWN)
        await process.monitor.sync()
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
