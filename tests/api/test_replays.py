"""Replays: what is counted, what is queued, in which order, how far, and for whom."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import asyncpg
import pytest

from factories import Json
from hookline.api.dependencies import Services
from hookline.dispatch import jobs as runner
from hookline.dispatch import replays
from hookline.dispatch.jobs import JobRunner
from hookline.domain.deliveries import Failed, FailReason, RetryAt
from hookline.history import jobs
from hookline.history.jobs import JobKind
from hookline.queue.port import Lane, Settlement
from hookline.queue.postgres import PostgresQueue
from support.api_client import Api, Keys
from support.event_history import a_pbx, an_integration, claim, send, settle

Run = Callable[[], Awaitable[None]]
EXHAUSTED = Failed(FailReason.EXHAUSTED)


@pytest.fixture(scope="module")
def run(services: Services) -> Run:
    """Do what an engine's job runner does until its next look."""
    return JobRunner(services.jobs, {JobKind.REPLAY: services.replays.replays}, 1.0).run_once


def period(**changes: object) -> Json:
    now = datetime.now(UTC)
    since, until = now - timedelta(hours=1), now + timedelta(hours=1)
    return {"since": since.isoformat(), "until": until.isoformat()} | changes


async def start(api: Api, integration: str, *, key: str = "", **changes: object) -> Json:
    path = f"/v1/integrations/{integration}/replays"
    answer = await api.post(path, period(**changes), key=key)
    assert answer.status_code == 202, answer.text
    job: Json = answer.json()
    assert answer.headers["location"] == f"/v1/replays/{job['id']}"
    return job


async def count(api: Api, integration: str, **changes: object) -> int:
    path = f"/v1/integrations/{integration}/replays"
    answer = await api.post(path, period(dryRun=True, **changes))
    assert answer.status_code == 200, answer.text
    assert answer.json()["complete"] is True
    total: int = answer.json()["total"]
    return total


async def read(api: Api, job: Json) -> Json:
    answer = await api.get(f"/v1/replays/{job['id']}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def seen(api: Api, integration: str) -> list[Json]:
    answer = await api.get(f"/v1/deliveries?integrationId={integration}&limit=200")
    items: list[Json] = answer.json()["items"]
    return items


async def some_failed(
    api: Api, queue: PostgresQueue, *, failed: int, delivered: int = 0, **changes: object
) -> tuple[str, str, list[str]]:
    """Return a PBX, its integration, and the events that were failed, in order."""
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx, **changes)
    for number in range(delivered):
        await send(api, pbx=pbx, id=f"well-{number}")
    await settle(queue, integration)
    events = [
        (await send(api, pbx=pbx, id=f"call-{number}"))["eventId"] for number in range(failed)
    ]
    await settle(queue, integration, EXHAUSTED)
    return pbx, integration, events


async def test_what_failed_is_counted_queued_in_order_and_marked(
    api: Api, queue: PostgresQueue, run: Run
) -> None:
    _, integration, events = await some_failed(api, queue, failed=3, delivered=2)
    assert await count(api, integration) == 5
    assert await count(api, integration, statuses=["delivered"]) == 2
    assert await count(api, integration, statuses=["failed"]) == 3
    assert await count(api, integration, types=["presence:user"]) == 0

    job = await start(api, integration, statuses=["failed"])
    assert (job["state"], job["total"]) == ("counting", None)
    await run()
    job = await read(api, job)
    assert (job["state"], job["total"], job["queued"]) == ("running", 3, 3)

    claimed = await claim(queue, integration)
    assert [str(each.event_id) for each in claimed] == events
    assert {str(each.replay) for each in claimed} == {job["id"]}
    pending = [each for each in await seen(api, integration) if each["status"] == "pending"]
    assert {each["replay"] for each in pending} == {job["id"]}
    assert {str(each.id) for each in claimed} == {each["id"] for each in pending}
    await queue.release(claimed)

    await settle(queue, integration)
    await run()
    job = await finished(api, job, run)
    assert (job["state"], job["delivered"], job["failed"]) == ("done", 3, 0)
    assert await count(api, integration, statuses=["failed"]) == 0, "they got there since"


async def finished(api: Api, job: Json, run: Run) -> Json:
    """Run until a job is finished: a page that has to wait is due a moment later."""
    while (found := await read(api, job))["finishedAt"] is None:
        await run()
    return found


async def test_beside_events_pages_leave_most_of_the_time_to_them(
    api: Api, queue: PostgresQueue, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    rested: list[float] = []

    async def noted(seconds: float) -> None:
        if seconds != runner._NEXT:
            rested.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(runner, "asyncio", SimpleNamespace(sleep=noted))
    for arriving in (True, False):
        _, integration, _ = await some_failed(api, queue, failed=2)
        if not arriving:
            monkeypatch.setattr(replays, "_ARRIVING_FOR", -timedelta(minutes=1))
        rested.clear()
        job = await start(api, integration, statuses=["failed"])
        await run()
        assert (await read(api, job))["total"] == 2
        assert bool(rested) == arriving
        assert min(rested, default=1.0) > 0
        assert (await api.post(f"/v1/replays/{job['id']}/cancel")).status_code == 200


async def test_what_failed_again_is_counted_and_found_once_more(
    api: Api, queue: PostgresQueue, run: Run
) -> None:
    _, integration, _ = await some_failed(api, queue, failed=2)
    job = await start(api, integration, statuses=["failed"])
    await run()
    await settle(queue, integration, EXHAUSTED)
    job = await finished(api, job, run)
    assert (job["delivered"], job["failed"]) == (0, 2)
    assert await count(api, integration, statuses=["failed"]) == 2, "each event once"


async def test_missing_events_are_those_it_would_get_today(
    api: Api, queue: PostgresQueue, run: Run
) -> None:
    pbx = a_pbx()
    before = [(await send(api, pbx=pbx, id=f"call-{number}"))["eventId"] for number in range(2)]
    await send(api, pbx=pbx, type="presence:user", id="not chosen")
    integration = await an_integration(api, pbx=pbx)
    has = await send(api, pbx=pbx, id="has")
    await settle(queue, integration)
    patched = await api.patch(f"/v1/integrations/{integration}", {"enabled": False})
    assert patched.status_code == 200
    meanwhile = (await send(api, pbx=pbx, id="while disabled"))["eventId"]
    await api.patch(f"/v1/integrations/{integration}", {"enabled": True})

    assert await count(api, integration) == 1
    assert await count(api, integration, missing=True) == 4
    await start(api, integration, missing=True)
    await run()
    claimed = [str(each.event_id) for each in await claim(queue, integration)]
    assert claimed == [*before, has["eventId"], meanwhile], "in the order of acceptance"


async def test_missing_events_have_to_pass_the_filter_of_today(
    api: Api, queue: PostgresQueue, run: Run
) -> None:
    pbx = a_pbx()
    sent = [
        (await send(api, pbx=pbx, id=f"call-{number}", data={"number": number}))["eventId"]
        for number in range(40)
    ]
    integration = await an_integration(
        api, pbx=pbx, filter={"data": {"number": [{"numeric": [">=", 7, "<", 30]}]}}
    )
    assert await count(api, integration) == 0
    assert await count(api, integration, missing=True) == 23
    await start(api, integration, missing=True)
    await run()
    claimed = [str(each.event_id) for each in await claim(queue, integration)]
    assert claimed == sent[7:30]


async def test_subjects_keep_their_order_in_a_replay(
    api: Api, queue: PostgresQueue, run: Run
) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx, ordering="subject")
    lane = Lane(integration, 10, ordered=True)
    events = [
        (await send(api, pbx=pbx, id="one call", data={"number": number}))["eventId"]
        for number in range(2)
    ]
    for _ in events:
        await fail(queue, lane)
    await start(api, integration)
    await run()
    for event in events:
        [first] = await queue.claim([lane], most_bytes=1 << 20)
        assert str(first.event_id) == event
        await queue.release([first])
        await fail(queue, lane)


async def fail(queue: PostgresQueue, lane: Lane) -> None:
    jobs = await queue.claim([lane], most_bytes=1 << 20)
    await queue.settle([Settlement(j.id, j.lease, EXHAUSTED, 1, None) for j in jobs])


async def test_it_waits_while_much_of_its_lane_waits(
    api: Api, queue: PostgresQueue, run: Run
) -> None:
    pbx, integration, _ = await some_failed(api, queue, failed=1)
    envelopes = [
        {
            "id": f"live-{number}",
            "pbx": pbx,
            "company": "it_w000001",
            "time": number,
            "type": "call:live:progress",
            "data": {},
        }
        for number in range(60)
    ]
    assert (await api.post("/v1/events/batch", {"events": envelopes})).status_code == 202
    job = await start(api, integration, statuses=["failed"])
    await run()
    job = await read(api, job)
    assert (job["state"], job["total"], job["queued"]) == ("running", 1, 0)
    assert job["error"] == "Waiting until less of the integration's deliveries wait."
    await settle(queue, integration)
    while (await read(api, job))["queued"] == 0:
        await run()


async def test_a_rate_is_kept(api: Api, queue: PostgresQueue, run: Run) -> None:
    _, integration, _ = await some_failed(api, queue, failed=3)
    job = await start(api, integration, rateLimit=0.1)
    await run()  # which does pages until none is due
    job = await read(api, job)
    assert (job["total"], job["queued"], job["rateLimit"]) == (3, 1, 0.1)


async def test_a_cancelled_one_queues_nothing_more(
    api: Api, queue: PostgresQueue, run: Run
) -> None:
    _, integration, _ = await some_failed(api, queue, failed=3)
    job = await start(api, integration, rateLimit=0.1)
    await run()
    answer = await api.post(f"/v1/replays/{job['id']}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    again = await api.post(f"/v1/replays/{job['id']}/cancel")
    assert again.json() == answer.json()
    await settle(queue, integration)
    await run()
    job = await read(api, job)
    assert (job["queued"], job["delivered"]) == (1, 1)


async def test_one_at_a_time_and_all_are_listed(api: Api, queue: PostgresQueue) -> None:
    _, integration, _ = await some_failed(api, queue, failed=1)
    first = await start(api, integration, rateLimit=0.1)
    second = await api.post(f"/v1/integrations/{integration}/replays", period())
    assert second.status_code == 409
    assert "not finished" in second.json()["detail"]
    await api.post(f"/v1/replays/{first['id']}/cancel")
    second_job = await start(api, integration)
    page = (await api.get(f"/v1/integrations/{integration}/replays?limit=1")).json()
    assert [each["id"] for each in page["items"]] == [second_job["id"]]
    path = f"/v1/integrations/{integration}/replays?limit=1&cursor={page['next']}"
    rest = (await api.get(path)).json()
    assert ([each["id"] for each in rest["items"]], rest["next"]) == ([first["id"]], None)


@pytest.mark.parametrize("of_company", [True, False])
async def test_a_tenant_has_so_many_unfinished_replays_and_leaves_the_others_theirs(
    api: Api, monkeypatch: pytest.MonkeyPatch, *, of_company: bool
) -> None:
    monkeypatch.setattr(jobs, "MOST_OF_TENANT", 2)
    company, own = f"it_{a_pbx()}", a_pbx()
    pbxs = [a_pbx() for _ in range(3)] if of_company else [own] * 3
    if of_company:
        for pbx in pbxs:
            record = {"company": company, "license": "x-bees"}
            assert (await api.put(f"/v1/pbxs/{pbx}", record)).status_code == 200
    first, *others = [await an_integration(api, pbx=pbx) for pbx in pbxs]
    job = await start(api, first)
    await start(api, others[0])
    path = f"/v1/integrations/{others[1]}/replays"
    refused = await api.post(path, period())
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert "2 unfinished replays" in refused.json()["detail"]
    await start(api, await an_integration(api, pbx=a_pbx(), company=f"it_{a_pbx()}"))
    assert (await api.post(f"/v1/replays/{job['id']}/cancel")).status_code == 200
    await start(api, others[1])


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"since": "2020-01-01T00:00:00Z"}, "since"),
        ({"since": "2126-01-01T00:00:00Z"}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"statuses": ["pending"]}, "statuses[0]"),
        ({"statuses": []}, "statuses"),
        ({"types": []}, "types"),
        ({"rateLimit": 0}, "rateLimit"),
        ({"missing": "yes"}, "missing"),
        ({"when": 1}, "when"),
    ],
)
async def test_what_is_wrong_is_named(api: Api, wrong: Json, path: str) -> None:
    integration = await an_integration(api, pbx=a_pbx())
    answer = await api.post(f"/v1/integrations/{integration}/replays", period(**wrong))
    assert answer.status_code == 422
    assert [each["path"] for each in answer.json()["errors"]] == [path]


async def test_a_disabled_integration_gets_nothing(
    api: Api, queue: PostgresQueue, run: Run
) -> None:
    _, integration, _ = await some_failed(api, queue, failed=2)
    job = await start(api, integration, rateLimit=0.1)
    await api.patch(f"/v1/integrations/{integration}", {"enabled": False})
    await run()
    job = await read(api, job)
    assert (job["state"], job["queued"]) == ("failed", 0)
    assert job["error"] == "The integration was disabled; enable it, then replay."
    answer = await api.post(f"/v1/integrations/{integration}/replays", period())
    assert answer.status_code == 409


async def test_a_manager_sees_its_own_alone(api: Api, keys: Keys, queue: PostgresQueue) -> None:
    pbx, integration, _ = await some_failed(api, queue, failed=1)
    own, other = await keys.manager(pbx=pbx), await keys.manager(pbx=a_pbx())
    job = await start(api, integration, key=own)
    for path in (f"/v1/replays/{job['id']}", f"/v1/integrations/{integration}/replays"):
        assert (await api.get(path, key=own)).status_code == 200
        assert (await api.get(path, key=other)).status_code == 404
    cancel = f"/v1/replays/{job['id']}/cancel"
    assert (await api.post(cancel, key=other)).status_code == 404
    assert (await api.post(cancel, key=own)).json()["state"] == "cancelled"


async def test_a_page_that_fails_is_tried_again_and_keeps_no_other_job_waiting(
    api: Api, queue: PostgresQueue, pool: asyncpg.Pool, run: Run
) -> None:
    _, broken, _ = await some_failed(api, queue, failed=1)
    _, well, _ = await some_failed(api, queue, failed=1)
    first = await start(api, broken)
    second = await start(api, well)
    spoil = "update jobs set asked = '{}' where id = $1"
    await pool.execute(spoil, first["id"])
    await run()
    assert (await read(api, second))["queued"] == 1
    faults = await pool.fetchval("select faults from jobs where id = $1", first["id"])
    assert faults > 0
    await pool.execute("delete from jobs where id = $1", first["id"])


async def test_a_retry_that_is_due_later_still_is_the_jobs(
    api: Api, queue: PostgresQueue, run: Run
) -> None:
    _, integration, _ = await some_failed(api, queue, failed=1)
    job = await start(api, integration)
    await run()
    await settle(queue, integration, RetryAt(0.0), status_code=503)
    await run()
    assert (await read(api, job))["state"] == "running"
    [again] = await claim(queue, integration)
    assert (str(again.replay), again.attempts) == (job["id"], 1)
    await queue.release([again])
    await settle(queue, integration)
    assert (await finished(api, job, run))["delivered"] == 1
