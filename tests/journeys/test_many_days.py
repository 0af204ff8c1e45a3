"""Many days, each a partition of three tables: lists, records and jobs are answered over all."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest

from factories import PBX, Json, an_event
from hookline.db.partitions import of_days
from hookline.domain.ids import lowest_uuid
from support.databases import Databases
from support.ledger import Ledger, ledger_receiver
from support.postgres_clients import connection
from support.senders import minting
from support.service import Service, Services, eventually, services

pytestmark = pytest.mark.timeout(1800)  # seconds; making 4,500 partitions takes most of them

FEW, MANY = 30, 1_500  # days; many are for `make soak`
BUSY = 300.0  # seconds for what takes two on an idle machine
TOGETHER = 10  # days whose partitions are made in one transaction
OLD_ROWS = """
with event as (
    insert into events (id, pbx, company, type, subject, time, payload, splice)
    values ($1, $2, 'it_w000001', 'call:completed', 'call-1', 0, '{"id":"x"}', 1)
    returning id
)
insert into deliveries (
    id, event_id, integration_id, type, status, reason, attempts, finished_at
)
select id, id, $3, 'call:completed', 'failed', 'exhausted', 1, $4 from event
"""
PERIODS = ("", "since={old}", "until={late}", "since={old}&until={late}", "until={old}")
FILTERS = {
    "/v1/events": (
        *("", "pbx=000000000001", "company=it_w000001", "type=call:completed", "subject=call-1"),
        *("type=call:end", "subject=none", "pbx=none&subject=none"),
    ),
    "/v1/deliveries": (
        *("", "integrationId={id}", "status=failed", "type=call:completed", "status=skipped"),
        *("integrationId={id}&status=failed", "status=failed&type=call:end", "status=pending"),
        "status=failed&status=delivered",
    ),
}


def lists(**known: str) -> Iterator[str]:
    """Yield the address of every list with each of its filters, over each kind of period."""
    for path, filters in FILTERS.items():
        for narrowed, period in product(filters, PERIODS):
            yield f"{path}?limit=200&{narrowed}&{period}".format(**known).rstrip("&")
    yield from ("/v1/integrations", "/v1/pbxs", "/v1/keys", "/v1/erasures", "/v1/system")
    yield from ("/v1/stats", "/v1/stats?interval=day", "/metrics", "/readyz", "/v1/event-types")
    yield from (f"/v1/integrations/{known['id']}{rest}" for rest in ("", "/stats", "/secret"))


@dataclass(slots=True)
class Kept:
    """A service over a database with so many days, which it keeps."""

    services: Services
    service: Service
    days: int

    def ago(self, days: int) -> datetime:
        return datetime.now(UTC) - timedelta(days=days)

    async def store_failed(self, integration: Json, *moments: datetime) -> list[UUID]:
        """Store an event at each of these moments, of which the delivery failed."""
        ids = [lowest_uuid(moment) for moment in moments]
        async with connection(self.services.settings["DATABASE_URL"]) as client:
            for identifier, moment in zip(ids, moments, strict=True):
                made = (identifier, integration["pbx"], integration["id"], moment)
                await client.execute(OLD_ROWS, *made)
        return ids

    async def job(self, path: str, asked: Json) -> Json:
        """Begin a replay or an erasure and wait for its end."""
        answer = await self.service.api.post(path, asked)
        assert answer.status_code == 202, answer.text
        return await eventually(
            lambda: self.service.read(answer.headers["location"]),
            lambda found: found["finishedAt"] is not None,
            within=BUSY,
        )


def moments_of(days: int) -> list[datetime]:
    """Return moments of a few of these days, the oldest first, with long gaps between them."""
    now = datetime.now(UTC)
    chosen = sorted({days - 2, days - 3, days * 2 // 3, days // 2, days // 4, 2}, reverse=True)
    return [now - timedelta(days=ago, minutes=minute) for ago in chosen for minute in (1, 0)]


@pytest.fixture(params=[FEW, pytest.param(MANY, marks=pytest.mark.soak)], scope="module")
async def kept(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases, request: pytest.FixtureRequest
) -> AsyncIterator[Kept]:
    days: int = request.param
    today = datetime.now(UTC).date()
    async with databases.migrated() as dsn:
        async with connection(dsn) as client:
            for start in range(2, days, TOGETHER):
                made = (today - timedelta(days=start + more) for more in range(TOGETHER))
                await client.execute("".join(each.create() for each in of_days(made)))
        keeping = {"RETENTION_DAYS": str(days), "STATISTICS_DAYS": str(days)}
        folder = tmp_path_factory.mktemp("kept")
        async with services(folder, DATABASE_URL=dsn, **keeping) as opened:
            yield Kept(opened, await opened.start(RETRY_DELAYS="none"), days)


@pytest.fixture(scope="module")
async def ledger() -> AsyncIterator[Ledger]:
    async with ledger_receiver() as opened:
        yield opened


@pytest.mark.soak
async def test_every_list_and_record_is_answered(kept: Kept, ledger: Ledger) -> None:
    service, old = kept.service, kept.ago(kept.days - 2)
    made = await service.an_integration(ledger, ordering="subject")
    [first] = await kept.store_failed(made, old)
    sent = await service.send(an_event())
    await service.settled(sent["eventId"])
    late = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    known = {"id": made["id"], "old": f"{old:%Y-%m-%dT%H:%M:%SZ}", "late": late}
    async with minting(kept.services) as keys:
        for key in (kept.services.admin_key, await keys.manager(pbx=PBX)):
            for path in lists(**known):
                answer = await service.api.get(path, key=key)
                expected = {403} if key != kept.services.admin_key else set()
                assert answer.status_code in {200, *expected}, (path, answer.text)
    oldest = await service.read(f"/v1/deliveries?integrationId={made['id']}&status=failed")
    assert [each["id"] for each in oldest["items"]] == [str(first)]

    assert (await service.read(f"/v1/events/{first}"))["eventId"] == str(first)
    again = await service.api.post(f"/v1/deliveries/{first}/retry", None)
    assert again.status_code == 202, again.text
    await eventually(
        lambda: service.read(f"/v1/deliveries/{first}"),
        lambda delivery: delivery["status"] == "delivered",
    )


async def test_replays_find_what_lies_far_apart_and_an_erasure_ends_it(
    kept: Kept, ledger: Ledger
) -> None:
    service = kept.service
    made = await service.an_integration(ledger, pbx="000000000002")
    ids = await kept.store_failed(made, *moments_of(kept.days))
    path = f"/v1/integrations/{made['id']}/replays"
    asked = {"since": kept.ago(kept.days - 1).isoformat(), "until": kept.ago(0).isoformat()}

    async def counted() -> Json:  # within seconds, on a busy machine perhaps not all
        answer = await service.api.post(path, asked | {"dryRun": True})
        return answer.json()  # type: ignore[no-any-return]  # JSON

    dry = await eventually(counted, lambda found: found["complete"], within=BUSY)
    assert dry["total"] == len(ids)
    job = await kept.job(path, asked)
    assert (job["state"], job["total"], job["delivered"]) == ("done", len(ids), len(ids))
    log = await service.deliveries(f"&integrationId={made['id']}&status=delivered")
    assert [each["eventId"] for each in reversed(log)] == [str(each) for each in ids]

    again = await kept.job(path, asked | {"statuses": ["failed"], "missing": True})
    assert (again["state"], again["total"]) == ("done", 0), "they got there since"
    outcomes = (await service.read(f"/v1/events/{ids[0]}"))["outcomes"]
    assert {each["status"] for each in outcomes} == {"failed", "delivered"}

    erased = await kept.job(
        "/v1/erasures", {"pbx": "000000000002", "before": kept.ago(1).isoformat()}
    )
    assert (erased["state"], erased["erased"]) == ("done", len(ids))
    assert (await service.read(f"/v1/events/{ids[0]}"))["erasedAt"] is not None


async def test_a_new_integration_is_sent_what_was_long_before_it(
    kept: Kept, ledger: Ledger
) -> None:
    service = kept.service
    others = await service.an_integration(ledger, pbx="000000000003", events={"presence": "all"})
    ids = await kept.store_failed(others, *moments_of(kept.days))
    made = await service.an_integration(ledger, pbx="000000000003")
    asked = {"since": kept.ago(kept.days - 1).isoformat(), "until": kept.ago(0).isoformat()}
    job = await kept.job(f"/v1/integrations/{made['id']}/replays", asked | {"missing": True})
    assert (job["state"], job["total"], job["delivered"]) == ("done", len(ids), len(ids))
    log = await service.deliveries(f"&integrationId={made['id']}")
    assert [each["eventId"] for each in reversed(log)] == [str(each) for each in ids]
