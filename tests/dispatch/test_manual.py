import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from factories import COMPANY, PBX, Json, a_principal, a_queue, a_webhook
from hookline.db import connections
from hookline.dispatch import manual
from hookline.domain.catalogue import load_catalogue
from hookline.domain.deliveries import ErrorKind, Sent, Verdict
from hookline.domain.targets import Target, TransmissionType, WebhookTarget
from hookline.errors import InvalidInput, NotFound, Overloaded
from hookline.integrations.pbxs import PbxService
from hookline.integrations.requests import IntegrationCreate, PbxPut
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscriptions
from hookline.security.egress.policy import EgressPolicy
from hookline.security.secrets import KeyRing, generate_key
from hookline.sinks import Shipment
from support.sink_script import PATIENCE

ADMIN = a_principal()
TIMEOUT = 7.0  # seconds


class Recording:
    """A sink that remembers what it was handed, and answers or fails as told."""

    def __init__(self) -> None:
        self.shipments: list[Shipment] = []
        self.fault: Exception | None = None
        self.handed = asyncio.Semaphore(0)
        self.answers = asyncio.Event()
        self.answers.set()

    async def send(self, shipment: Shipment) -> Sent:
        self.shipments.append(shipment)
        self.handed.release()
        if self.fault is not None:
            raise self.fault
        await self.answers.wait()
        return Sent(Verdict.RETRY, datetime.now(UTC), 41, ErrorKind.STATUS, 503, b"busy", None)

    async def forget(self, target: Target) -> None:
        raise AssertionError(target)

    async def aclose(self) -> None:
        raise AssertionError("a test closes no sink")


class Bench:
    """A tester over a real database, with one recording sink for all targets."""

    def __init__(self, engine: AsyncEngine) -> None:
        transactions = Transactions(engine)
        catalogue, keyring = load_catalogue(), KeyRing.parse(generate_key())
        self.pbxs = PbxService(transactions, retention_days=30)
        self.integrations = IntegrationService(transactions, keyring, EgressPolicy([]), catalogue)
        self.sink = Recording()
        sinks = dict.fromkeys(TransmissionType, self.sink)
        subscriptions = Subscriptions(transactions, catalogue, keyring)
        self.tester = manual.Tester(subscriptions, sinks, catalogue, timeout=TIMEOUT)

    async def make(self, document: Json) -> str:
        made = await self.integrations.create(ADMIN, IntegrationCreate.model_validate(document))
        return made.integration.id


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    engine = connections.engine(database)
    yield Bench(engine)
    await engine.dispose()


def names(document: Json) -> Sequence[str]:
    return list(document)


async def test_an_integration_made_just_now_gets_its_own_example(bench: Bench) -> None:
    integration = await bench.make(a_queue(company=COMPANY, pbx="0000000000ab"))
    tested = await bench.tester.test(integration, "call:completed")
    assert (tested.event_type, tested.sent.status_code) == ("call:completed", 503)
    [shipment] = bench.sink.shipments
    assert (shipment.body, shipment.delivery_id) == (tested.body, tested.delivery_id)
    envelope = json.loads(tested.body)
    assert names(envelope) == ["id", "pbx", "company", "time", "type", "integrationId", "data"]
    assert envelope["integrationId"] == integration
    assert (envelope["pbx"], envelope["company"]) == ("0000000000ab", COMPANY)
    sent_at = datetime.fromtimestamp(envelope["time"] / 1000, UTC)
    assert datetime.now(UTC) - sent_at < timedelta(minutes=1)
    example = load_catalogue().find("call:completed")
    assert example is not None
    assert envelope["data"] == example.example["data"]


async def test_every_type_of_the_catalogue_can_be_sent(bench: Bench) -> None:
    integration = await bench.make(a_queue())
    for kind in load_catalogue().types:
        tested = await bench.tester.test(integration, kind.name)
        assert json.loads(tested.body)["type"] == kind.name
        assert ("pbx" in json.loads(tested.body)) == ("pbx" in kind.example)


async def test_a_companys_integration_gets_examples_without_a_pbx(bench: Bench) -> None:
    integration = await bench.make(a_queue(pbx=None, company="it_another"))
    tested = await bench.tester.test(integration, "presence:user")
    envelope = json.loads(tested.body)
    assert "pbx" not in envelope
    assert envelope["company"] == "it_another"
    assert envelope["id"].startswith("it_another_")


async def test_the_company_on_a_pbxs_record_is_filled_in(bench: Bench) -> None:
    integration = await bench.make(a_queue(pbx=PBX))
    description = PbxPut(company="it_recorded", license="x-bees")
    await bench.pbxs.put(ADMIN, PBX, description)
    tested = await bench.tester.test(integration, "call:completed")
    assert json.loads(tested.body)["company"] == "it_recorded"


async def test_a_disabled_integration_is_tested_as_well(bench: Bench) -> None:
    integration = await bench.make(a_queue(enabled=False, events={"chat": "all"}))
    tested = await bench.tester.test(integration, "call:completed")
    assert tested.sent.verdict is Verdict.RETRY


async def test_a_fault_of_ours_is_a_result(bench: Bench) -> None:
    bench.sink.fault = RuntimeError("a bug")
    tested = await bench.tester.test(await bench.make(a_queue()), "call:completed")
    assert (tested.sent.verdict, tested.sent.error) == (Verdict.INTERNAL, ErrorKind.INTERNAL)


async def test_an_unknown_type_names_the_field(bench: Bench) -> None:
    integration = await bench.make(a_queue())
    with pytest.raises(InvalidInput) as refused:
        await bench.tester.test(integration, "call:unknown:type")
    assert [field.path for field in refused.value.fields] == ["type"]
    assert bench.sink.shipments == []


async def test_a_deleted_integration_is_not_found(bench: Bench) -> None:
    integration = await bench.make(a_queue())
    await bench.integrations.delete(ADMIN, integration, None)
    for unknown in (integration, "nobody"):
        with pytest.raises(NotFound):
            await bench.tester.test(unknown, "call:completed")


async def test_a_webhook_is_sent_to_with_its_secret(bench: Bench) -> None:
    url = "https://93.184.215.14/hook"
    integration = await bench.make(a_webhook(url=url, headers={"X-Tenant": "7"}))
    await bench.tester.test(integration, "call:completed")
    [shipment] = bench.sink.shipments
    assert isinstance(shipment.target, WebhookTarget)
    secret = (await bench.integrations.secret(ADMIN, integration)).secret
    assert shipment.target == WebhookTarget(url, (secret,), (("X-Tenant", "7"),))


async def hanging(bench: Bench, integrations: Sequence[str]) -> list[asyncio.Task[manual.Tested]]:
    """Test each integration twice at once, with nobody answering."""
    bench.sink.answers.clear()
    tests = [
        asyncio.create_task(bench.tester.test(each, "call:completed"))
        for each in (*integrations, *integrations)
    ]
    async with asyncio.timeout(PATIENCE):
        for _ in tests:
            await bench.sink.handed.acquire()
    return tests


async def refusal(bench: Bench, integration: str) -> str:
    """Return why an integration can't be tested now."""
    with pytest.raises(Overloaded) as refused:
        await bench.tester.test(integration, "call:completed")
    assert refused.value.retry_after == TIMEOUT
    return str(refused.value)


async def test_all_pbxs_of_a_company_together_have_few_test_deliveries(bench: Bench) -> None:
    pbxs = [f"00000000000{number}" for number in range(3)]
    for pbx in pbxs:
        await bench.pbxs.put(ADMIN, pbx, PbxPut(company=COMPANY, license="x-bees"))
    one, other, third = [
        [await bench.make(a_queue(company=COMPANY, pbx=pbx)) for _ in range(3)] for pbx in pbxs
    ]
    tests = await hanging(bench, [*one[:2], *other[:2]])
    assert f"4 test deliveries of PBX {pbxs[0]} " in await refusal(bench, one[2])
    assert f"8 test deliveries of company {COMPANY} " in await refusal(bench, third[0])
    tests += await hanging(bench, [await bench.make(a_queue(pbx="0000000000ff"))])
    bench.sink.answers.set()
    await asyncio.gather(*tests)
    await bench.tester.test(third[0], "call:completed")


async def test_all_tenants_together_have_few_test_deliveries(bench: Bench) -> None:
    made = [await bench.make(a_queue(pbx=f"{number:012x}")) for number in range(17)]
    tests = await hanging(bench, made[:16])
    assert "32 test deliveries of all tenants " in await refusal(bench, made[16])
    tests[0].cancel()
    await asyncio.wait(tests[:1])
    bench.sink.answers.set()
    await bench.tester.test(made[16], "call:completed")
    await asyncio.gather(*tests[1:])
