"""Statistics by the hour and day: exact, whether counted into roll-ups yet or not."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from factories import Json
from hookline.domain.deliveries import (
    Delivered,
    ErrorKind,
    Failed,
    FailReason,
    Outcome,
    RetryAt,
    Sent,
    SkipReason,
    Verdict,
)
from hookline.errors import Unavailable
from hookline.history.roll_ups import KEPT_FOR, FilteredEvents, RollUps
from hookline.queue.port import Settlement
from hookline.queue.postgres import PostgresQueue
from support.api_client import Api, Keys
from support.event_history import a_pbx, an_integration, claim, send

NOTHING = {
    "delivered": 0,
    "failed": 0,
    "skipped": 0,
    "retries": 0,
    "attemptMs": {"p50": None, "p99": None},
    "latencyMs": {"p50": None, "p99": None},
}


@pytest.fixture
def roll_ups(engine: AsyncEngine) -> RollUps:
    return RollUps(engine, days=366)


async def statistics(api: Api, path: str, query: str = "", key: str = "") -> list[Json]:
    answer = await api.get(f"/v1/{path}?{query}", key=key)
    assert answer.status_code == 200, answer.text
    buckets: list[Json] = answer.json()["buckets"]
    return buckets


def totals(buckets: list[Json]) -> tuple[int, int, int, int]:
    names = ("delivered", "failed", "skipped", "retries")
    delivered, failed, skipped, retries = (sum(each[name] for each in buckets) for name in names)
    return delivered, failed, skipped, retries


async def settle(
    queue: PostgresQueue, integration: str, *outcomes: Outcome, took: int = 40
) -> None:
    jobs = await claim(queue, integration)
    settlements = []
    for job, outcome in zip(jobs, outcomes, strict=True):
        well = isinstance(outcome, Delivered)
        sent = Sent(
            verdict=Verdict.DELIVERED if well else Verdict.RETRY,
            started_at=datetime.now(UTC),
            duration_ms=took,
            error=None if well else ErrorKind.TIMEOUT,
        )
        settlements.append(Settlement(job.id, job.lease, outcome, job.attempts + 1, sent))
    await queue.settle(settlements)


async def test_every_ending_is_counted_once_before_and_after_it_is_rolled_up(
    api: Api, queue: PostgresQueue, roll_ups: RollUps
) -> None:
    pbx = a_pbx()
    one, other = [await an_integration(api, pbx=pbx) for _ in range(2)]
    for number in range(4):
        await send(api, pbx=pbx, id=f"call-{number}")
    failed = Failed(FailReason.REJECTED)
    await settle(queue, one, Delivered(), Delivered(), failed, RetryAt(0.0))
    before = await statistics(api, f"integrations/{one}/stats")
    assert totals(before) == (2, 1, 0, 0)
    await roll_ups.keep()
    assert await statistics(api, f"integrations/{one}/stats") == before

    await settle(queue, one, Delivered(), took=900)  # the retry
    assert await queue.skip(other, SkipReason.DELETED, limit=10) == 4
    for _ in range(2):
        assert totals(await statistics(api, f"integrations/{one}/stats")) == (3, 1, 0, 1)
        assert totals(await statistics(api, f"integrations/{other}/stats")) == (0, 0, 4, 0)
        assert totals(await statistics(api, "stats", f"pbx={pbx}")) == (3, 1, 4, 1)
        await roll_ups.keep()
    [day] = await statistics(api, f"integrations/{one}/stats", _today("day"))
    assert day["attemptMs"]["p50"] == pytest.approx(40, rel=0.05)
    assert day["attemptMs"]["p99"] == pytest.approx(900, rel=0.05)
    assert day["latencyMs"]["p50"] is not None


def _today(interval: str) -> str:
    now = datetime.now(UTC)
    return f"interval={interval}&since={now:%Y-%m-%d}T00:00:00Z&until={now:%Y-%m-%d}T23:59:59Z"


async def test_two_processes_that_count_at_once_count_each_settlement_once(
    api: Api, queue: PostgresQueue, roll_ups: RollUps
) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    for number in range(5):
        await send(api, pbx=pbx, id=f"call-{number}")
        await settle(queue, integration, Delivered())
    await asyncio.gather(*(roll_ups.keep() for _ in range(4)))
    assert totals(await statistics(api, f"integrations/{integration}/stats")) == (5, 0, 0, 0)


async def test_events_that_filters_refuse_are_counted_beside_what_is_settled(
    api: Api, engine: AsyncEngine, queue: PostgresQueue, roll_ups: RollUps
) -> None:
    pbx = a_pbx()
    one, other = [await an_integration(api, pbx=pbx) for _ in range(2)]
    await send(api, pbx=pbx)
    await settle(queue, one, Delivered())
    processes = [FilteredEvents(engine) for _ in range(2)]
    for process in processes:
        process.saw([one, other])
        process.saw([one])
    await asyncio.gather(*(process.flush() for process in processes), roll_ups.keep())
    await processes[0].aclose()  # with nothing to add
    assert totals(await statistics(api, f"integrations/{one}/stats")) == (1, 0, 4, 0)
    assert totals(await statistics(api, f"integrations/{other}/stats")) == (0, 0, 2, 0)
    assert totals(await statistics(api, "stats", f"pbx={pbx}")) == (1, 0, 6, 0)


async def test_refused_events_are_counted_once_the_database_is_back(
    api: Api, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    integration = await an_integration(api, pbx=a_pbx())
    filtered = FilteredEvents(engine)
    filtered.saw([integration])
    with monkeypatch.context() as away:

        def refuse(_engine: AsyncEngine) -> None:
            raise ConnectionRefusedError

        away.setattr(type(engine), "begin", refuse)
        with pytest.raises(Unavailable):
            await filtered.flush()
        await filtered.aclose()
    filtered.saw([integration])
    await filtered.flush()
    assert totals(await statistics(api, f"integrations/{integration}/stats")) == (0, 0, 2, 0)


async def test_an_outcome_that_is_fenced_off_is_not_counted(api: Api, queue: PostgresQueue) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    await send(api, pbx=pbx)
    [job] = await claim(queue, integration)
    late = Settlement(job.id, job.lease + 1, Delivered(), 1, None)
    assert await queue.settle([late]) == set()
    assert totals(await statistics(api, f"integrations/{integration}/stats")) == (0, 0, 0, 0)


async def test_empty_buckets_are_there_and_the_period_is_made_of_whole_ones(api: Api) -> None:
    integration = await an_integration(api)
    path = f"integrations/{integration}/stats"
    asked = "since=2026-01-31T22:30:00Z&until=2026-02-01T01:00:00Z"
    assert await statistics(api, path, asked) == [
        {"start": "2026-01-31T22:00:00Z", **NOTHING},
        {"start": "2026-01-31T23:00:00Z", **NOTHING},
        {"start": "2026-02-01T00:00:00Z", **NOTHING},
    ]
    days = await statistics(api, path, f"interval=day&{asked}")
    assert [each["start"] for each in days] == ["2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"]
    assert len(await statistics(api, path)) in {24, 25}
    assert len(await statistics(api, path, "interval=day")) in {30, 31}


async def test_old_hours_are_read_from_their_days(
    api: Api, pool: asyncpg.Pool, roll_ups: RollUps, queue: PostgresQueue
) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    for number in range(3):
        await send(api, pbx=pbx, id=f"call-{number}")
    await settle(queue, integration, *(Delivered() for _ in range(3)))
    moments = [datetime(2026, 1, 30, 23, 59, tzinfo=UTC), datetime(2026, 1, 31, 0, 0, tzinfo=UTC)]
    for moment in moments:
        await pool.execute(
            "insert into settlements (settled_at, integrations, deliveries, codes)"
            " select $1, integrations, deliveries, codes"
            " from settlements where $2 = any(integrations) limit 1",
            moment,
            integration,
        )
    await roll_ups.keep()
    found = await statistics(
        api,
        f"integrations/{integration}/stats",
        "since=2026-01-30T22:00:00Z&until=2026-01-31T02:00:00Z",
    )
    assert [each["delivered"] for each in found] == [0, 3, 3, 0]


async def test_what_is_past_its_time_is_forgotten_and_the_rest_is_not(
    api: Api, pool: asyncpg.Pool, engine: AsyncEngine, queue: PostgresQueue
) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    await send(api, pbx=pbx)
    await settle(queue, integration, Delivered())
    old, kept = date(2025, 1, 1), date(2025, 1, 2)
    for day in (old, kept):
        await pool.execute(
            "insert into roll_ups (integration_id, day, hours) values ($1, $2, '\\x80')",
            integration,
            day,
        )
    await RollUps(engine, days=10).keep(datetime(2025, 1, 12, tzinfo=UTC))
    days = await pool.fetch("select day from roll_ups where integration_id = $1", integration)
    assert {row["day"] for row in days} == {kept, datetime.now(UTC).date()}
    assert await pool.fetchval("select count(*) from settlements") > 0, "streams resume from them"
    await RollUps(engine, days=3650).keep(datetime.now(UTC) + KEPT_FOR + timedelta(seconds=1))
    left = await pool.fetchval("select count(*) from settlements")
    assert left == 1, "below it nothing is looked for"


async def test_a_manager_reads_its_own_and_nothing_tells_of_others(
    api: Api, queue: PostgresQueue, keys: Keys
) -> None:
    pbx, others, company = a_pbx(), a_pbx(), f"company-{a_pbx()}"
    mine = await an_integration(api, pbx=pbx, company=company)
    theirs = await an_integration(api, pbx=others)
    for where, integration in ((pbx, mine), (others, theirs)):
        await send(api, pbx=where)
        await settle(queue, integration, Delivered())
    for key in (await keys.manager(pbx=pbx), await keys.manager(company=company)):
        assert totals(await statistics(api, "stats", key=key)) == (1, 0, 0, 0)
        assert totals(await statistics(api, "stats", f"pbx={others}", key)) == (0, 0, 0, 0)
        assert totals(await statistics(api, f"integrations/{mine}/stats", key=key))[0] == 1
        foreign = await api.get(f"/v1/integrations/{theirs}/stats", key=key)
        unknown = await api.get("/v1/integrations/nosuch/stats", key=key)
        assert (foreign.status_code, unknown.status_code) == (404, 404)
        assert foreign.json()["detail"] == f"There is no integration '{theirs}'."
    assert totals(await statistics(api, "stats"))[0] >= 2
    assert totals(await statistics(api, "stats", f"company={company}")) == (1, 0, 0, 0)
    ingest = await keys.ingest(pbx=pbx)
    assert (await api.get("/v1/stats", key=ingest)).status_code == 403


async def test_several_integrations_are_counted_in_one_answer(
    api: Api, queue: PostgresQueue, roll_ups: RollUps, keys: Keys
) -> None:
    pbx, others = a_pbx(), a_pbx()
    busy, quiet = [await an_integration(api, pbx=pbx) for _ in range(2)]
    theirs = await an_integration(api, pbx=others)
    for where, integration in ((pbx, busy), (others, theirs)):
        await send(api, pbx=where)
        await settle(queue, integration, Delivered())
    await roll_ups.keep()
    await send(api, pbx=pbx, id="later")
    await settle(queue, busy, Failed(FailReason.REJECTED))
    named = "&".join(f"integrationId={each}" for each in (busy, quiet, theirs, "nosuch", busy))
    answer = await api.get(
        f"/v1/stats/integrations?{named}&{_today('hour')}", key=await keys.manager(pbx=pbx)
    )
    found = answer.json()
    assert len(found["starts"]) == 24
    assert [each["integrationId"] for each in found["items"]] == sorted([busy, quiet])
    ended = {
        each["integrationId"]: [sum(each[how]) for how in ("delivered", "failed", "skipped")]
        for each in found["items"]
    }
    assert ended == {busy: [1, 1, 0], quiet: [0, 0, 0]}
    assert all(len(each["skipped"]) == 24 for each in found["items"])


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("", "integrationId"),
        ("integrationId=", "integrationId[0]"),
        ("&".join(["integrationId=s95eum"] * 101), "integrationId"),
        ("&".join(f"integrationId={n}" for n in range(100)) + "&interval=hour&since=x", "since"),
    ],
)
async def test_counts_that_cannot_be_answered_are_refused(api: Api, query: str, path: str) -> None:
    answer = await api.get(f"/v1/stats/integrations?{query}")
    assert answer.status_code == 422, answer.text
    assert [each["path"] for each in answer.json()["errors"]] == [path]


@pytest.mark.parametrize("until", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
async def test_the_first_and_the_last_moment_of_all_may_be_asked_for(api: Api, until: str) -> None:
    answer = await api.get(f"/v1/stats?until={until}")
    assert answer.status_code == 200, answer.text
    counted = [bucket["delivered"] for bucket in answer.json()["buckets"]]
    assert counted == [0] * 24


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "since"),
        ("since=2026-01-01T00:00:00Z&until=2026-02-01T00:30:00Z", "since"),
        ("since=2025-01-01T00:00:00Z&until=2026-02-01T00:00:00Z&interval=day", "since"),
        ("interval=minute", "interval"),
        ("since=yesterday", "since"),
        ("integrationId=s95eum", "integrationId"),
    ],
)
async def test_a_period_that_cannot_be_answered_is_refused_with_a_sentence(
    api: Api, query: str, path: str
) -> None:
    answer = await api.get(f"/v1/stats?{query}")
    assert answer.status_code == 422, answer.text
    [problem] = answer.json()["errors"]
    assert problem["path"] == path
    assert problem["message"].endswith(".")
