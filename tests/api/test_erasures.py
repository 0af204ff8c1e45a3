"""Erasures: payloads and answers are gone, the log stays, and nothing is sent any more."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from factories import Json, an_event
from hookline.api.dependencies import Services
from hookline.dispatch.erasures import Erasures
from hookline.dispatch.jobs import JobRunner, Work
from hookline.domain.deliveries import Failed, FailReason, RetryAt, Sent, Verdict
from hookline.history.jobs import JobKind
from hookline.queue.port import Lane, Settlement
from hookline.queue.postgres import PostgresQueue
from support.api_client import Api
from support.event_history import STARTED, a_pbx, an_integration, claim, send, settle

Run = Callable[[], Awaitable[None]]
REJECTED = Failed(FailReason.REJECTED)


@pytest.fixture(scope="module")
def run(services: Services) -> Run:
    """Do what an engine's job runner does until its next look."""
    work: dict[JobKind, Work] = {
        JobKind.REPLAY: services.replays.replays,
        JobKind.ERASURE: Erasures(stored_within=0.0),
    }
    return JobRunner(services.jobs, work, 1.0).run_once


async def start(api: Api, **asked: object) -> Json:
    answer = await api.post("/v1/erasures", asked)
    assert answer.status_code == 202, answer.text
    job: Json = answer.json()
    assert answer.headers["location"] == f"/v1/erasures/{job['id']}"
    return job


async def read(api: Api, path: str) -> Json:
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def finished(api: Api, job: Json, run: Run) -> Json:
    while (found := await read(api, f"/v1/erasures/{job['id']}"))["finishedAt"] is None:
        await run()
    return found


async def test_payloads_and_answers_go_and_the_log_stays(
    api: Api, queue: PostgresQueue, pool: asyncpg.Pool, run: Run
) -> None:
    pbx, other = a_pbx(), a_pbx()
    sent_to, waiting = [await an_integration(api, pbx=pbx) for _ in range(2)]
    elsewhere = await an_integration(api, pbx=other)
    event = (await send(api, pbx=pbx, id="a call", data={"caller": "+390461"}))["eventId"]
    kept = (await send(api, pbx=other, data={"caller": "+390461"}))["eventId"]
    answered = {"status_code": 404, "response": b"Hello +390461"}
    [delivery] = await settle(queue, sent_to, REJECTED, **answered)  # type: ignore[arg-type]
    [untouched] = await settle(queue, elsewhere, REJECTED, **answered)  # type: ignore[arg-type]

    job = await finished(api, await start(api, pbx=pbx), run)
    assert (job["state"], job["total"], job["erased"], job["error"]) == ("done", 1, 1, None)

    found = await read(api, f"/v1/events/{event}")
    whole = an_event(pbx=pbx, id="a call")
    assert found["event"] == {name: whole[name] for name in whole if name != "data"}
    assert found["erasedAt"] is not None
    outcomes = {each["integrationId"]: each for each in found["outcomes"]}
    assert (outcomes[waiting]["status"], outcomes[waiting]["reason"]) == ("skipped", "erased")
    assert outcomes[sent_to]["detail"]["lastAttempt"]["statusCode"] == 404
    assert outcomes[sent_to]["detail"]["lastAttempt"]["responseBody"] is None
    stored = await pool.fetchval("select count(*) from events where payload like '%+390461%'")
    answers = await pool.fetchval("select count(*) from attempts where response like '%+390461%'")
    assert (stored, answers) == (1, 1), "of the other PBX"
    assert (await read(api, f"/v1/events/{kept}"))["erasedAt"] is None
    assert (await read(api, f"/v1/deliveries/{untouched}"))["attempts"][0]["responseBody"]

    retry = await api.post(f"/v1/deliveries/{delivery}/retry")
    assert retry.status_code == 409
    assert "erased" in retry.json()["detail"]


async def test_only_one_subject_and_only_what_is_older(
    api: Api, queue: PostgresQueue, run: Run
) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    one = [(await send(api, pbx=pbx, id="one", data={"n": n}))["eventId"] for n in range(2)]
    other = (await send(api, pbx=pbx, id="other"))["eventId"]
    long_ago = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    nothing = await finished(api, await start(api, pbx=pbx, before=long_ago), run)
    assert (nothing["total"], nothing["erased"]) == (0, 0)
    job = await finished(api, await start(api, pbx=pbx, subject="one"), run)
    assert job["erased"] == 2
    erased = [(await read(api, f"/v1/events/{each}"))["erasedAt"] for each in (*one, other)]
    assert [each is not None for each in erased] == [True, True, False]
    [left] = await claim(queue, integration)
    assert str(left.event_id) == other


async def test_what_is_stored_behind_the_cursor_meanwhile_is_erased(
    api: Api, services: Services, pool: asyncpg.Pool, run: Run
) -> None:
    pbx = a_pbx()
    seen = (await send(api, pbx=pbx, data={"n": 1}))["eventId"]
    late = (await send(api, pbx=pbx, data={"n": 2}))["eventId"]
    async with pool.acquire() as writer, writer.transaction():  # as if it were not committed yet
        [stored] = await writer.fetch("delete from events where id = $1 returning *", UUID(late))
    job = await start(api, pbx=pbx)
    once = JobRunner(services.jobs, {JobKind.ERASURE: Erasures(stored_within=3600)}, 1.0).run_once
    while (found := await read(api, f"/v1/erasures/{job['id']}"))["error"] is None:
        await once()
    assert found["error"] == "Waiting for events that are being accepted."
    assert (await read(api, f"/v1/events/{seen}"))["erasedAt"] is not None
    await pool.execute("insert into events select ($1::events).*", stored)
    await pool.execute("update jobs set next_at = now() where id = $1", UUID(job["id"]))
    done = await finished(api, job, run)
    assert (done["state"], done["erased"], done["total"]) == ("done", 2, 2)
    assert "data" not in (await read(api, f"/v1/events/{late}"))["event"]


async def test_a_company_is_erased_with_its_pbxs(api: Api, run: Run) -> None:
    company = f"it_{a_pbx()}"
    events = [(await send(api, pbx=pbx, company=company))["eventId"] for pbx in (a_pbx(), None)]
    job = await finished(api, await start(api, company=company), run)
    assert job["erased"] == 2
    for event in events:
        assert "data" not in (await read(api, f"/v1/events/{event}"))["event"]


async def test_what_is_under_way_ends_first_and_is_not_retried(
    api: Api, queue: PostgresQueue, run: Run
) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx, ordering="none")
    event = (await send(api, pbx=pbx))["eventId"]
    [held] = await claim(queue, integration)
    job = await start(api, pbx=pbx)
    await run()
    waiting = await read(api, f"/v1/erasures/{job['id']}")
    assert (waiting["state"], waiting["erased"]) == ("running", 0)
    assert waiting["error"] == "Waiting for attempts that are under way."
    sent = Sent(Verdict.RETRY, STARTED, 5, status_code=503, response=b"the caller's number")
    await queue.settle([Settlement(held.id, held.lease, RetryAt(0.0), 1, sent)])
    [again] = await claim(queue, integration)
    assert again.erased, "whoever claims it now is told not to send it"
    await queue.release([again])

    job = await finished(api, job, run)
    assert (job["state"], job["erased"]) == ("done", 1)
    delivery = await read(api, f"/v1/deliveries/{held.id}")
    assert (delivery["status"], delivery["reason"]) == ("skipped", "erased")
    assert [each["responseBody"] for each in delivery["attempts"]] == [None]
    assert (await read(api, f"/v1/events/{event}"))["erasedAt"] is not None


async def test_the_next_of_a_subject_goes_once_the_first_is_erased(
    api: Api, queue: PostgresQueue, run: Run
) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx, ordering="subject")
    await send(api, pbx=pbx, id="one call", data={"n": 1})
    await finished(api, await start(api, pbx=pbx), run)
    later = (await send(api, pbx=pbx, id="one call", data={"n": 2}))["eventId"]
    [first] = await queue.claim([Lane(integration, 5, ordered=True)], most_bytes=1 << 20)
    assert str(first.event_id) == later


async def test_erased_events_are_not_replayed(api: Api, queue: PostgresQueue, run: Run) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    await send(api, pbx=pbx)
    await settle(queue, integration, REJECTED)
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    asked = {"since": since, "until": "2126-01-01T00:00:00Z", "missing": True, "dryRun": True}
    path = f"/v1/integrations/{integration}/replays"
    assert (await api.post(path, asked)).json()["total"] == 1
    await finished(api, await start(api, pbx=pbx), run)
    assert (await api.post(path, asked)).json()["total"] == 0


async def test_all_erasures_are_listed_newest_first_and_page_by_page(api: Api, run: Run) -> None:
    pbx = a_pbx()
    await an_integration(api, pbx=pbx)
    asked = [await finished(api, await start(api, pbx=pbx, subject=f"{n}"), run) for n in range(3)]
    first = await read(api, "/v1/erasures?limit=2")
    assert first["items"] == [asked[2], asked[1]]
    second = await read(api, f"/v1/erasures?limit=1&cursor={first['next']}")
    assert second["items"] == [asked[0]]
    assert (await api.get("/v1/erasures?cursor=nonsense")).status_code == 422


@pytest.mark.parametrize(
    ("wrong", "paths"),
    [
        ({}, ["pbx", "company"]),
        ({"pbx": "1", "company": "2"}, ["pbx", "company"]),
        ({"pbx": ""}, ["pbx"]),
        ({"pbx": "1", "before": "yesterday"}, ["before"]),
        ({"pbx": "1", "everything": True}, ["everything"]),
    ],
)
async def test_what_is_wrong_is_named(api: Api, wrong: Json, paths: list[str]) -> None:
    answer = await api.post("/v1/erasures", wrong)
    assert answer.status_code == 422
    assert [each["path"] for each in answer.json()["errors"]] == paths
