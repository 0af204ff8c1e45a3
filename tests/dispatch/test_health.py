from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from uuid import UUID

import orjson
import pytest

from factories import a_principal, a_webhook
from hookline.db import connections
from hookline.dispatch.health import HealthWatch
from hookline.dispatch.notices import Notices
from hookline.domain.catalogue import load_catalogue
from hookline.domain.deliveries import (
    Delivered,
    ErrorKind,
    Failed,
    FailReason,
    Outcome,
    RetryAt,
    Sent,
    Verdict,
)
from hookline.domain.events import Event, Limits, parse_event
from hookline.domain.health import HealthRules
from hookline.domain.ids import new_uuid
from hookline.errors import Overloaded
from hookline.integrations.health import HealthRecords
from hookline.integrations.requests import IntegrationChanges, NewIntegration
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscriptions
from hookline.queue.port import Claimed, Settlement
from hookline.security.egress.addresses import Address
from hookline.security.egress.policy import EgressPolicy
from hookline.security.secrets import KeyRing, generate_key
from support.queue_contract import an_event

ADMIN = a_principal()
RULES = HealthRules(failing_after=2, pause_after=4, pause_seconds=0)
WELL = (Verdict.DELIVERED, Delivered())
DOWN = (Verdict.RETRY, RetryAt(5.0))
EXHAUSTED = (Verdict.RETRY, Failed(FailReason.EXHAUSTED))


async def resolve(_host: str) -> tuple[Address, ...]:
    return (ip_address("93.184.215.14"),)


class Process:
    """What one process has of health; others have the same over the same database."""

    def __init__(self, transactions: Transactions, keyring: KeyRing) -> None:
        catalogue = load_catalogue()
        policy = EgressPolicy(resolve=resolve)
        self.integrations = IntegrationService(transactions, keyring, policy, catalogue)
        self.subscriptions = Subscriptions(transactions, catalogue, keyring)
        self.now = 1_000.0
        self.notices = Notices(self.subscriptions, clock=lambda: self.now)
        self.watch = HealthWatch(
            HealthRecords(transactions, RULES),
            RULES,
            self.subscriptions,
            self.notices,
            disable=self.integrations.disable_failing,
        )
        self.accepted: list[Event] = []

    async def an_integration(self, **changes: object) -> str:
        new = NewIntegration.model_validate(a_webhook(**changes))
        made = (await self.integrations.create(ADMIN, new)).integration.id
        await self.subscriptions.catch_up()
        return made

    def saw(
        self, integration_id: str, what: tuple[Verdict, Outcome], times: int = 1, kind: str = ""
    ) -> list[UUID]:
        """Have attempts end like this; return their deliveries' ids."""
        jobs = [a_job(integration_id, kind) for _ in range(times)]
        for job in jobs:
            self.watch.saw(job, ended(job, *what))
        return [job.id for job in jobs]

    async def told(self) -> list[tuple[str, dict[str, object]]]:
        """Have notices accepted; return type and content of what is new."""
        self.accepted.clear()
        await self.notices.send(self._accept)
        events = [orjson.loads(event.payload) for event in self.accepted]
        return [(event["type"], event["data"]) for event in events]

    async def _accept(self, events: object) -> None:
        assert isinstance(events, list)
        self.accepted += events


def a_job(integration_id: str, kind: str = "") -> Claimed:
    event = an_event().event
    if kind:
        envelope = orjson.loads(event.payload) | {"type": kind}
        event = parse_event(orjson.dumps(envelope), Limits())
    return Claimed(
        id=new_uuid(),
        lease=1,
        event_id=new_uuid(),
        integration_id=integration_id,
        attempts=0,
        claims=1,
        once=False,
        revision=1,
        event=event,
    )


def ended(job: Claimed, verdict: Verdict, outcome: Outcome) -> Settlement:
    error = None if verdict is Verdict.DELIVERED else ErrorKind.TIMEOUT
    sent = Sent(verdict, datetime.now(UTC), 10, error)
    return Settlement(job.id, job.lease, outcome, 1, sent)


@pytest.fixture(scope="module")
async def transactions(database: str) -> AsyncIterator[Transactions]:
    engine = connections.engine(database)
    yield Transactions(engine)
    await engine.dispose()


@pytest.fixture
def processes(transactions: Transactions) -> tuple[Process, Process]:
    keyring = KeyRing.parse(generate_key())
    return Process(transactions, keyring), Process(transactions, keyring)


@pytest.fixture
def process(processes: tuple[Process, Process]) -> Process:
    return processes[0]


async def paused(process: Process, integration_id: str) -> None:
    process.saw(integration_id, DOWN, times=3)
    await process.watch.exchange()
    process.saw(integration_id, DOWN, times=2)
    await process.watch.exchange()
    assert process.watch.is_paused(integration_id)


async def test_what_one_process_pauses_is_paused_in_all(
    processes: tuple[Process, Process],
) -> None:
    one, other = processes
    target = await one.an_integration()
    await paused(one, target)
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
    await paused(one, target)
    await other.watch.exchange()
    for process in processes:
        process.saw(target, WELL)
    assert await other.watch.exchange() == {target}, "it tells what may go on"
    assert await one.watch.exchange() == {target}
    told = [kind for process in processes for kind, _ in await process.told()]
    assert sorted(told) == ["integration:paused", "integration:recovered"]


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
    await paused(process, target)
    patch = IntegrationChanges.model_validate({"enabled": True})
    await process.integrations.change(ADMIN, target, patch, None)
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
    await paused(process, target)
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
    assert (data["integrationId"], data["state"], data["reason"]) == (target, "disabled", "failing")


async def test_exhausted_deliveries_are_told_of_together_and_a_minute_apart(
    process: Process,
) -> None:
    target = await process.an_integration(name="CRM")
    first = process.saw(target, EXHAUSTED)
    assert await process.told() == [
        (
            "delivery:exhausted",
            {
                "integrationId": target,
                "name": "CRM",
                "count": 1,
                "deliveryIds": [str(first[0])],
                "lastError": "timeout",
            },
        )
    ]
    later = process.saw(target, EXHAUSTED, times=25)
    assert await process.told() == []
    process.now += 60
    [(_, data)] = await process.told()
    assert data["count"] == 25
    assert data["deliveryIds"] == [str(each) for each in later[:10]]
    process.now += 60
    assert await process.told() == []


async def test_a_notice_that_was_exhausted_is_not_told_of(process: Process) -> None:
    target = await process.an_integration()
    process.saw(target, EXHAUSTED, kind="integration:paused")
    assert await process.told() == []


async def test_a_deleted_integration_is_nobodys_concern(process: Process) -> None:
    target = await process.an_integration()
    process.saw(target, EXHAUSTED)
    await process.integrations.delete(ADMIN, target, None)
    await process.subscriptions.catch_up()
    assert await process.told() == []


async def test_notices_wait_in_order_while_nothing_is_taken(process: Process) -> None:
    targets = [await process.an_integration() for _ in range(2)]
    for target in targets:
        process.saw(target, EXHAUSTED)

    async def full(_events: object) -> None:
        raise Overloaded("Too much is waiting.", retry_after=1)

    await process.notices.send(full)
    assert [data["integrationId"] for _, data in await process.told()] == targets


async def test_an_envelope_names_the_integrations_tenant(process: Process) -> None:
    target = await process.an_integration(pbx="000000000077", company="it_w000077")
    process.saw(target, EXHAUSTED)
    await process.told()
    [event] = process.accepted
    assert (event.subject, event.pbx, event.company) == (target, "000000000077", "it_w000077")
