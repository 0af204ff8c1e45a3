"""1,500 days, each a partition of three tables: every list and single record is answered."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from factories import PBX, an_event
from hookline.db.partitions import of_days
from hookline.domain.ids import lowest_uuid
from support.databases import Databases
from support.ledger import keeping_books
from support.postgres_clients import connection
from support.senders import minting
from support.service import Services, eventually, services

DAYS = 1_500
TOGETHER = 50  # days whose partitions are made in one transaction
OLD_ROWS = """
with event as (
    insert into events (id, pbx, company, type, subject, time, payload, splice)
    values ($1, '000000000001', 'it_w000001', 'call:completed', 'call-1', 0, '{"id":"x"}', 1)
    returning id
)
insert into deliveries (
    id, event_id, integration_id, type, status, reason, attempts, finished_at
)
select id, id, $2, 'call:completed', 'failed', 'exhausted', 1, $3 from event
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


@pytest.fixture
async def years(tmp_path: Path, databases: Databases) -> AsyncIterator[Services]:
    """Services over a database with all these days, which they keep."""
    today = datetime.now(UTC).date()
    async with databases.migrated() as dsn:
        async with connection(dsn) as client:
            for start in range(2, DAYS, TOGETHER):
                days = (today - timedelta(days=start + more) for more in range(TOGETHER))
                await client.execute("".join(each.create() for each in of_days(days)))
        kept = {"RETENTION_DAYS": str(DAYS), "STATISTICS_DAYS": str(DAYS)}
        async with services(tmp_path, DATABASE_URL=dsn, **kept) as opened:
            yield opened


@pytest.mark.soak
@pytest.mark.timeout(900)  # seconds; making 4,500 partitions takes most of them
async def test_every_list_is_answered_over_fifteen_hundred_days(years: Services) -> None:
    service = await years.start(RETRY_DELAYS="none")
    old = datetime.now(UTC) - timedelta(days=DAYS - 2)
    first = lowest_uuid(old)
    async with keeping_books() as ledger, minting(years) as keys:
        made = await service.an_integration(ledger, ordering="subject")
        async with connection(years.settings["DATABASE_URL"]) as client:
            await client.execute(OLD_ROWS, first, made["id"], old)
        sent = await service.send(an_event())
        await service.settled(sent["eventId"])
        late = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
        known = {"id": made["id"], "old": f"{old:%Y-%m-%dT%H:%M:%SZ}", "late": late}
        for key in (years.admin_key, await keys.manager(pbx=PBX)):
            for path in lists(**known):
                answer = await service.api.get(path, key=key)
                expected = {403} if key != years.admin_key else set()
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
    await service.stop()
