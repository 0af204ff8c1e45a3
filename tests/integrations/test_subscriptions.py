"""Who wants an event: the rules, the reasons, and a snapshot that is never behind."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from msgspec.structs import replace

from factories import Json, a_principal, a_queue, a_webhook, an_event
from hookline.db import connections
from hookline.db.models import Integration
from hookline.domain.catalogue import EventFormat, load_catalogue
from hookline.domain.events import Event, Limits, parse_event
from hookline.domain.targets import WebhookTarget
from hookline.errors import DecryptionFailed, Unavailable
from hookline.integrations.event_types import EventTypeService, WantedType
from hookline.integrations.pbxs import PbxService
from hookline.integrations.requests import IntegrationCreate, IntegrationPatch, PbxPut
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscription, Subscriptions
from hookline.security.secrets import KeyRing, generate_key
from support.postgres_clients import connection

ADMIN = a_principal()
EVERYTHING = dict.fromkeys(("call", "conference", "chat", "analytics", "presence"), "all")
_numbers = itertools.count(100)


class Bench:
    """One process's snapshot over the test's database, with a tenant of its own."""

    def __init__(
        self, transactions: Transactions, keyring: KeyRing, integrations: IntegrationService
    ) -> None:
        number = next(_numbers)
        self.pbx, self.company = f"{number:012}", f"it_w{number:06}"
        self.integrations = integrations
        self.pbxs = PbxService(transactions, retention_days=30)
        self.keyring = keyring
        self.transactions = transactions
        self.snapshot = self.another()

    def another(self, keyring: KeyRing | None = None) -> Subscriptions:
        return Subscriptions(self.transactions, load_catalogue(), keyring or self.keyring)

    async def make(self, document: Json | None = None, **changes: object) -> str:
        asked = (document or a_webhook(events=EVERYTHING)) | {"pbx": self.pbx} | changes
        asked = {name: value for name, value in asked.items() if value is not None}
        new = IntegrationCreate.model_validate(asked)
        return (await self.integrations.create(ADMIN, new)).integration.id

    async def change(self, integration_id: str, **fields: object) -> None:
        changes = IntegrationPatch.model_validate(fields)
        await self.integrations.change(ADMIN, integration_id, changes, None)

    async def describe(self, licence: str, *, presence: bool, company: str | None = None) -> None:
        document = {
            "company": company or self.company,
            "license": licence,
            "presenceEvents": presence,
        }
        await self.pbxs.put(ADMIN, self.pbx, PbxPut.model_validate(document))

    def event(self, kind: str = "call:start", **changes: object) -> Event:
        document = an_event(**{"type": kind, "pbx": self.pbx, "company": self.company} | changes)
        return parse_event(orjson.dumps(document), Limits())

    async def wanted(self, kind: str = "call:start", **changes: object) -> list[str]:
        await self.snapshot.catch_up()
        match = self.snapshot.match(self.event(kind, **changes))
        return [each.integration_id for each in match.wanted]

    async def skipped(self, kind: str = "call:start", **changes: object) -> dict[str, list[str]]:
        await self.snapshot.catch_up()
        match = self.snapshot.match(self.event(kind, **changes))
        noted: dict[str, list[str]] = orjson.loads(match.skipped) if match.skipped else {}
        return noted


@pytest.fixture
def bench(transactions: Transactions, keyring: KeyRing, service: IntegrationService) -> Bench:
    return Bench(transactions, keyring, service)


def found(snapshot: Subscriptions, integration_id: str) -> Subscription:
    subscription = snapshot.find(integration_id)
    assert subscription is not None
    return subscription


async def test_types_that_one_pbx_invents_push_out_no_answer_about_anothers(
    bench: Bench, transactions: Transactions, keyring: KeyRing, service: IntegrationService
) -> None:
    inventive = Bench(transactions, keyring, service)
    await bench.make()
    await inventive.make()
    await bench.snapshot.catch_up()
    answer = bench.snapshot.match(bench.event())
    event = inventive.event()
    for number in range(60_000):
        bench.snapshot.match(replace(event, type=f"call:live:{number}"))
    assert bench.snapshot.match(bench.event()) is answer


class TestChoosing:
    async def test_a_whole_group_covers_known_and_unknown_names_of_it(self, bench: Bench) -> None:
        made = await bench.make(events={"call": "all"})
        assert await bench.wanted("call:start") == [made]
        assert await bench.wanted("call:live:something:new") == [made]
        assert await bench.skipped("call:completed") == {"not_selected": [made]}

    async def test_a_list_covers_what_it_names(self, bench: Bench) -> None:
        made = await bench.make(events={"analytics": ["call:completed"]})
        assert await bench.wanted("call:completed") == [made]
        assert await bench.skipped("call:summary:completed") == {"not_selected": [made]}
        assert await bench.skipped("call:something:completed") == {"not_selected": [made]}

    async def test_a_name_that_no_rule_places_is_noted_as_unknown(self, bench: Bench) -> None:
        made = await bench.make()
        assert await bench.wanted("fax:received") == []
        assert await bench.skipped("fax:received") == {"unknown_type": [made]}

    async def test_every_integration_is_told_apart_by_its_reason(self, bench: Bench) -> None:
        ids = [
            await bench.make(),
            await bench.make(enabled=False),
            await bench.make(events={"chat": "all"}),
            await bench.make(events={"chat": "all"}),
        ]
        assert await bench.wanted() == [ids[0]]
        skipped = await bench.skipped()
        assert skipped == {"disabled": [ids[1]], "not_selected": sorted(ids[2:])}

    async def test_without_anybody_to_consider_nothing_is_noted(self, bench: Bench) -> None:
        await bench.snapshot.catch_up()
        match = bench.snapshot.match(bench.event())
        assert (match.wanted, match.skipped) == ((), None)


class TestCustomTypes:
    async def test_a_type_added_in_one_process_counts_in_another_with_the_next_revision(
        self, bench: Bench
    ) -> None:
        name = f"fax:received:{bench.pbx}"
        made = await bench.make()
        mine, theirs = load_catalogue(), load_catalogue()
        here = Subscriptions(bench.transactions, mine, bench.keyring)
        there = Subscriptions(bench.transactions, theirs, bench.keyring)
        for snapshot in (here, there):
            await snapshot.catch_up()
            assert snapshot.match(bench.event(name)).wanted == ()
        before = there.revision
        types = EventTypeService(bench.transactions, mine, here.refresh)
        example = an_event(type=name)
        added = WantedType("call", "Fax", "", EventFormat.JSON, licensed=False, example=example)

        await types.put(name, added)
        await there.catch_up(beyond=before)
        [wanted] = there.match(bench.event(name)).wanted
        assert wanted.integration_id == made
        assert theirs.find(name) is not None

        await types.delete(name)
        await there.catch_up()
        assert there.match(bench.event(name)).wanted == ()
        assert theirs.find(name) is None


class TestRouting:
    async def test_an_event_with_a_pbx_goes_to_that_pbx_alone(self, bench: Bench) -> None:
        made = await bench.make()
        await bench.make(pbx=None, company=bench.company)
        assert await bench.wanted() == [made]
        assert await bench.wanted(pbx="999999999999") == []

    async def test_an_event_without_a_pbx_goes_to_its_company(self, bench: Bench) -> None:
        of_pbx = await bench.make(company=bench.company)
        of_company = await bench.make(pbx=None, company=bench.company)
        assert of_company in await bench.wanted("chat:channel:created", pbx=None)
        assert of_pbx not in await bench.wanted("chat:channel:created", pbx=None, company="it_w9")

    async def test_one_of_another_company_than_the_records_gets_nothing(self, bench: Bench) -> None:
        await bench.describe("x-bees", presence=True)
        claimed = await bench.make(company=bench.company)
        assert await bench.wanted("chat:channel:created", pbx=None) == [claimed]
        await bench.describe("x-bees", presence=True, company="it_w777777")
        assert await bench.wanted("chat:channel:created", pbx=None) == []
        assert await bench.wanted() == []
        assert await bench.skipped() == {"disabled": [claimed]}


class TestLicences:
    @pytest.mark.parametrize(
        ("licence", "presence", "sent"),
        [
            ("x-bees", False, True),
            ("x-bees", True, True),
            ("collaboration", True, True),
            ("collaboration", False, False),
        ],
    )
    async def test_presence_goes_out_where_the_licence_lets_it(
        self, bench: Bench, licence: str, *, presence: bool, sent: bool
    ) -> None:
        made = await bench.make()
        await bench.describe(licence, presence=presence)
        for kind in ("presence:user", "presence:telephony"):
            assert await bench.wanted(kind) == ([made] if sent else [])
            assert await bench.skipped(kind) == ({} if sent else {"licence": [made]})
        assert await bench.wanted("call:start") == [made]

    async def test_a_pbx_that_was_never_described_sends_presence(self, bench: Bench) -> None:
        made = await bench.make()
        assert await bench.wanted("presence:user") == [made]
        assert bench.snapshot.company_of(bench.pbx) is None

    async def test_switching_presence_counts_for_the_next_event(self, bench: Bench) -> None:
        made = await bench.make()
        for presence in (False, True, False):
            await bench.describe("collaboration", presence=presence)
            assert await bench.wanted("presence:user") == ([made] if presence else [])
        assert bench.snapshot.company_of(bench.pbx) == bench.company


class TestCatchingUp:
    async def test_each_change_is_taken_over(self, bench: Bench) -> None:
        made = await bench.make()
        assert await bench.wanted() == [made]
        await bench.change(made, enabled=False)
        assert await bench.wanted() == []
        await bench.change(made, enabled=True, events={"call": None})
        assert await bench.skipped() == {"not_selected": [made]}
        await bench.change(made, events={"call": "all"}, maxInFlight=3)
        assert await bench.wanted() == [made]
        assert found(bench.snapshot, made).max_in_flight == 3
        await bench.integrations.delete(ADMIN, made, None)
        assert await bench.wanted() == []
        assert bench.snapshot.find(made) is None
        assert await bench.skipped() == {}

    async def test_a_revision_that_is_known_is_not_loaded_again(self, bench: Bench) -> None:
        await bench.snapshot.catch_up()
        revision = bench.snapshot.revision
        made = await bench.make()
        await bench.snapshot.catch_up(beyond=revision - 1)
        assert bench.snapshot.find(made) is None
        await bench.snapshot.catch_up(beyond=revision)
        assert bench.snapshot.find(made) is not None
        assert bench.snapshot.revision == revision + 1

    async def test_among_many_changes_at_once_no_snapshot_misses_one_that_it_counts(
        self, bench: Bench
    ) -> None:
        """A snapshot of a revision has every change up to it, whoever commits meanwhile."""
        snapshots = [bench.another() for _ in range(3)]
        made: list[tuple[int, str]] = []
        done = asyncio.Event()

        async def keep_making() -> None:
            for _ in range(15):
                integration_id = await bench.make()
                async with bench.transactions.reading() as session:
                    row = await session.get_one(Integration, integration_id)
                made.append((row.revision, integration_id))

        async def keep_catching_up(snapshot: Subscriptions) -> None:
            while not done.is_set():
                await snapshot.catch_up()
                missing = [
                    integration_id
                    for revision, integration_id in made
                    if revision <= snapshot.revision and snapshot.find(integration_id) is None
                ]
                assert missing == []

        readers = [asyncio.create_task(keep_catching_up(snapshot)) for snapshot in snapshots]
        await asyncio.gather(*(keep_making() for _ in range(3)))
        done.set()
        await asyncio.gather(*readers)
        for snapshot in snapshots:
            await snapshot.catch_up()
            assert all(snapshot.find(integration_id) is not None for _, integration_id in made)

    async def test_while_the_database_is_away_the_snapshot_stays(self, bench: Bench) -> None:
        made = await bench.make()
        assert await bench.wanted() == [made]
        nowhere = connections.engine("postgresql://hookline@127.0.0.1:1/none")
        bench.snapshot._transactions = Transactions(nowhere)
        before = bench.snapshot.revision
        with pytest.raises(Unavailable):
            await bench.snapshot.catch_up()
        assert bench.snapshot.revision == before
        assert [each.integration_id for each in bench.snapshot.match(bench.event()).wanted] == [
            made
        ]
        await nowhere.dispose()


class TestTargets:
    async def test_an_old_secret_signs_along_until_its_grace_is_over(self, bench: Bench) -> None:
        made = await bench.make()
        old = (await bench.integrations.secret(ADMIN, made)).secret
        await bench.integrations.rotate_secret(ADMIN, made, timedelta(hours=24), None)
        new = (await bench.integrations.secret(ADMIN, made)).secret
        await bench.snapshot.catch_up()
        subscription = found(bench.snapshot, made)
        now = datetime.now(UTC)

        def secrets(moment: datetime) -> tuple[str, ...]:
            target = subscription.usable_target(moment)
            assert isinstance(target, WebhookTarget)
            return target.secrets

        assert secrets(now + timedelta(hours=23)) == (new, old)
        assert secrets(now + timedelta(hours=25)) == (new,)

    async def test_a_secret_that_cannot_be_decrypted_harms_no_other_and_says_what_to_do(
        self, bench: Bench
    ) -> None:
        encrypted_elsewhere = await bench.make()
        other_ring = bench.another(KeyRing.parse(generate_key()))
        await other_ring.catch_up()
        [match] = other_ring.match(bench.event()).wanted
        assert match.integration_id == encrypted_elsewhere
        with pytest.raises(DecryptionFailed, match="HOOKLINE_ENCRYPTION_KEYS"):
            match.usable_target(datetime.now(UTC))

    async def test_a_record_that_makes_no_sense_harms_no_other(
        self, bench: Bench, database: str
    ) -> None:
        unreadable, plain = await bench.make(), await bench.make(events={"call": "all"})
        async with connection(database) as client:
            await client.execute(
                "update integrations set events = '[1]', revision = revision + 1 where id = $1",
                unreadable,
            )
            await client.execute("update revision set value = value + 1")
        assert set(await bench.wanted()) == {unreadable, plain}
        with pytest.raises(DecryptionFailed):
            found(bench.snapshot, unreadable).usable_target(datetime.now(UTC))
        await bench.integrations.delete(ADMIN, unreadable, None)

    async def test_a_fifo_queue_keeps_order(self, bench: Bench) -> None:
        queue = a_queue(events=EVERYTHING)
        plain = await bench.make(queue)
        queue["transmission"]["url"] += ".fifo"
        fifo = await bench.make(queue)
        await bench.snapshot.catch_up()
        assert not found(bench.snapshot, plain).ordered
        assert found(bench.snapshot, fifo).ordered

    async def test_secrets_are_in_no_representation(self, bench: Bench) -> None:
        made = await bench.make()
        secret = (await bench.integrations.secret(ADMIN, made)).secret
        await bench.snapshot.catch_up()
        assert secret not in repr(found(bench.snapshot, made))
        assert secret not in repr(bench.snapshot.match(bench.event()))
