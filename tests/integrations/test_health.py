import asyncio
from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from factories import a_principal, a_webhook
from hookline.db.models import IntegrationHealth
from hookline.domain.access import Role
from hookline.domain.deliveries import ErrorKind
from hookline.domain.health import Fail, HealthRules, HealthState, Pause, Recover
from hookline.integrations import serializers
from hookline.integrations.health import HEALTH_CHANNEL, HealthRecords
from hookline.integrations.requests import IntegrationCreate, IntegrationPatch
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from support.postgres_clients import ask, connection

ADMIN = a_principal(Role.ADMIN)
RULES = HealthRules(first_probe=30, longest_probe=100)
SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAIL = Fail(SINCE, ErrorKind.TIMEOUT)
PAUSE = Pause(ErrorKind.REFUSED)


@pytest.fixture
def records(transactions: Transactions) -> HealthRecords:
    return HealthRecords(transactions, RULES)


@pytest.fixture
async def made(service: IntegrationService) -> str:
    """The id of an integration of the test's own."""
    new = IntegrationCreate.model_validate(a_webhook())
    return (await service.create(ADMIN, new)).integration.id


async def shown(service: IntegrationService, integration_id: str) -> serializers.IntegrationHealth:
    return (await service.read(ADMIN, integration_id)).integration.health


async def paused(records: HealthRecords, integration_id: str) -> None:
    await records.take({integration_id: FAIL})
    await records.take({integration_id: PAUSE})


async def change(service: IntegrationService, integration_id: str, **fields: object) -> None:
    patch = IntegrationPatch.model_validate(fields)
    await service.change(ADMIN, integration_id, patch, None)


async def make_probe_due(
    transactions: Transactions, integration_id: str, ahead: timedelta = timedelta(seconds=-1)
) -> None:
    async with transactions.noting() as session:
        row = await session.get_one(IntegrationHealth, integration_id)
        row.paused_until = datetime.now(UTC) + ahead


async def test_a_new_integration_is_healthy_and_takes_no_row(
    service: IntegrationService, records: HealthRecords, made: str
) -> None:
    health = await shown(service, made)
    assert health.state is HealthState.HEALTHY
    assert health.failing_since is None
    assert made not in await records.load()


async def test_it_fails_pauses_and_recovers_for_everybody(
    service: IntegrationService, records: HealthRecords, made: str
) -> None:
    assert (await records.take({made: FAIL}))[made].state is HealthState.FAILING
    health = await shown(service, made)
    assert (health.state, health.failing_since, health.last_error) == (
        HealthState.FAILING,
        SINCE,
        ErrorKind.TIMEOUT,
    )
    assert (await records.load())[made].probe_in == inf

    assert (await records.take({made: PAUSE}))[made].state is HealthState.PAUSED
    health = await shown(service, made)
    assert (health.state, health.failing_since, health.last_error) == (
        HealthState.PAUSED,
        SINCE,
        ErrorKind.REFUSED,
    )
    assert health.next_probe_at is not None
    assert 0 < (await records.load())[made].probe_in <= 30

    ended = (await records.take({made: Recover()}))[made]
    assert (ended.state, ended.failing_since) == (HealthState.PAUSED, SINCE)
    assert (await shown(service, made)).state is HealthState.HEALTHY


async def test_of_many_processes_one_takes_a_step(records: HealthRecords, made: str) -> None:
    steps: list[Fail | Pause | Recover] = [FAIL, PAUSE, Recover()]
    for step in steps:
        taken = await asyncio.gather(*(records.take({made: step}) for _ in range(6)))
        assert sum(made in changed for changed in taken) == 1


async def test_a_probe_does_not_wait_for_an_hour_that_the_clock_lost(
    records: HealthRecords, transactions: Transactions, made: str
) -> None:
    await paused(records, made)
    await make_probe_due(transactions, made, ahead=timedelta(hours=1))
    assert (await records.load())[made].probe_in == 0
    assert await records.take_probes([made]) == {made}
    assert 0 < (await records.load())[made].probe_in <= 60
    assert await records.take_probes([made]) == set()


async def test_a_step_that_comes_too_late_changes_nothing(
    records: HealthRecords, made: str
) -> None:
    assert await records.take({made: PAUSE}) == {}
    assert await records.take({made: Recover()}) == {}
    await paused(records, made)
    assert await records.take({made: FAIL}) == {}
    assert await records.take({made: PAUSE}) == {}
    assert (await records.load())[made].health.failing_since == SINCE


async def test_many_steps_are_one_transaction(
    service: IntegrationService, records: HealthRecords
) -> None:
    new = IntegrationCreate.model_validate(a_webhook())
    ids = [(await service.create(ADMIN, new)).integration.id for _ in range(3)]
    assert set(await records.take(dict.fromkeys(ids, FAIL))) == set(ids)
    mixed: dict[str, Fail | Pause | Recover] = {ids[0]: PAUSE, ids[1]: Recover(), ids[2]: FAIL}
    assert set(await records.take(mixed)) == {ids[0], ids[1]}


async def test_a_failing_target_makes_no_event_be_matched_anew(
    records: HealthRecords, made: str, database: str
) -> None:
    before = await ask(database, "select value from revision")
    await paused(records, made)
    assert await ask(database, "select value from revision") == before


async def test_a_change_of_health_is_announced(
    records: HealthRecords, made: str, database: str
) -> None:
    heard = asyncio.Event()
    async with connection(database) as client:
        await client.add_listener(HEALTH_CHANNEL, lambda *_: heard.set())
        await records.take({made: FAIL})
        async with asyncio.timeout(5):
            await heard.wait()


async def test_nobody_probes_before_it_is_due(records: HealthRecords, made: str) -> None:
    await paused(records, made)
    assert await records.take_probes([made]) == set()


async def test_of_many_processes_one_probes_and_the_next_is_due_later(
    records: HealthRecords, transactions: Transactions, made: str
) -> None:
    await paused(records, made)
    for number, longest in ((1, 60), (2, 100), (3, 100)):
        await make_probe_due(transactions, made)
        taken = await asyncio.gather(*(records.take_probes([made]) for _ in range(6)))
        assert taken.count({made}) == 1
        known = (await records.load())[made]
        assert known.health.probes == number
        assert longest - 20 < known.probe_in <= longest


async def test_enabling_clears_the_health_also_of_a_paused_one(
    service: IntegrationService, records: HealthRecords, made: str
) -> None:
    await paused(records, made)
    await change(service, made, enabled=True)
    assert (await shown(service, made)).state is HealthState.HEALTHY
    assert made not in await records.load()


async def test_another_url_is_a_fresh_start_and_another_name_is_not(
    service: IntegrationService, records: HealthRecords, made: str
) -> None:
    await paused(records, made)
    await change(service, made, name="Other")
    assert (await shown(service, made)).state is HealthState.PAUSED
    await change(service, made, transmission={"url": "https://other.example.com/"})
    assert (await shown(service, made)).state is HealthState.HEALTHY


async def test_days_of_failing_disable_and_say_so(
    service: IntegrationService, records: HealthRecords, made: str
) -> None:
    await paused(records, made)
    assert await service.disable_failing(made, SINCE)
    health = await shown(service, made)
    assert (health.state, health.disabled_reason, health.disabled_by) == (
        HealthState.DISABLED,
        "failing",
        "hookline",
    )
    assert health.failing_since == SINCE, "why it was switched off stays to be seen"
    assert health.next_probe_at is None
    assert not await service.disable_failing(made, SINCE), "of two processes one switches it off"


async def test_what_got_through_meanwhile_keeps_it_enabled(
    service: IntegrationService, records: HealthRecords, made: str
) -> None:
    await records.take({made: FAIL})
    await records.take({made: Recover()})
    assert not await service.disable_failing(made, SINCE)
    await records.take({made: Fail(SINCE + timedelta(days=1), None)})
    assert not await service.disable_failing(made, SINCE)
    assert (await service.read(ADMIN, made)).integration.enabled


async def test_by_hand_it_is_told_who_did_it_and_enabling_forgets_it(
    service: IntegrationService, made: str
) -> None:
    await change(service, made, enabled=False)
    health = await shown(service, made)
    assert (health.state, health.disabled_reason, health.disabled_by) == (
        HealthState.DISABLED,
        "manual",
        ADMIN.name,
    )
    assert health.disabled_at is not None
    await change(service, made, enabled=True)
    health = await shown(service, made)
    assert (health.state, health.disabled_reason, health.disabled_by, health.disabled_at) == (
        HealthState.HEALTHY,
        None,
        None,
        None,
    )


async def test_what_is_disabled_or_deleted_does_not_begin_to_fail(
    service: IntegrationService, records: HealthRecords, made: str
) -> None:
    await change(service, made, enabled=False)
    assert await records.take({made: FAIL}) == {}
    await change(service, made, enabled=True)
    await records.take({made: FAIL})
    await service.delete(ADMIN, made, None)
    assert made not in await records.load()
    assert await records.take({made: FAIL}) == {}


async def test_a_rate_limit_is_kept_changed_and_removed(
    service: IntegrationService,
) -> None:
    new = IntegrationCreate.model_validate(a_webhook(rateLimit=2.5))
    made = (await service.create(ADMIN, new)).integration
    assert made.rate_limit == 2.5
    for sent, kept in (
        ({"rateLimit": 10}, 10.0),
        ({"name": "x"}, 10.0),
        ({"rateLimit": None}, None),
    ):
        await change(service, made.id, **sent)
        assert (await service.read(ADMIN, made.id)).integration.rate_limit == kept
