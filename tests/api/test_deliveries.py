from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from factories import Json
from hookline.domain.deliveries import DeliveryStatus, Failed, FailReason, RetryAt, SkipReason
from hookline.domain.ids import new_uuid
from hookline.history import ranges
from hookline.queue.postgres import PostgresQueue
from support.api_client import Api, Keys
from support.event_history import a_pbx, an_integration, claim, send, settle
from support.fakes import Notified

PATH = "/v1/deliveries"


async def read(api: Api, delivery_id: object, key: str = "") -> Json:
    answer = await api.get(f"{PATH}/{delivery_id}", key=key)
    assert answer.status_code == 200, answer.text
    delivery: Json = answer.json()
    return delivery


async def listed(api: Api, query: str = "", key: str = "") -> list[Json]:
    answer = await api.get(f"{PATH}?{query}", key=key)
    assert answer.status_code == 200, answer.text
    items: list[Json] = answer.json()["items"]
    return items


async def types(api: Api, query: str) -> list[str]:
    return [each["type"] for each in await listed(api, query)]


async def test_a_delivery_is_shown_with_its_attempts_at_every_stage(
    api: Api, queue: PostgresQueue
) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    receipt = await send(api, pbx=pbx)
    [fresh] = await listed(api, f"integrationId={integration}")
    assert fresh == {
        "id": fresh["id"],
        "eventId": receipt["eventId"],
        "integrationId": integration,
        "type": "call:completed",
        "status": "pending",
        "reason": None,
        "nextAttemptAt": fresh["nextAttemptAt"],
        "createdAt": fresh["createdAt"],
        "replay": None,
        "attempts": [],
    }
    assert abs(moment(fresh["nextAttemptAt"]) - moment(fresh["createdAt"])) < timedelta(minutes=1)

    await settle(queue, integration, RetryAt(60.0), status_code=503, response=b"busy \xff\x00")
    waiting = await read(api, fresh["id"])
    first = {
        "number": 1,
        "startedAt": "2026-01-31T12:00:00Z",
        "durationMs": 41,
        "outcome": "retry",
        "error": "status",
        "tlsReason": None,
        "statusCode": 503,
        "responseBody": "busy \ufffd\x00",
        "responseDefect": None,
        "hint": None,
    }
    assert waiting["attempts"] == [first]
    assert waiting["status"] == "pending"
    assert moment(waiting["nextAttemptAt"]) > datetime.now(UTC) + timedelta(seconds=30)

    await api.post(f"{PATH}/{fresh['id']}/retry")
    [job] = await claim(queue, integration)
    assert (await read(api, job.id))["nextAttemptAt"] is None
    await queue.release([job])
    await settle(queue, integration)
    done = await read(api, fresh["id"])
    second = {**first, "number": 2, "outcome": "delivered", "error": None}
    assert done["attempts"] == [first, second | {"statusCode": 200, "responseBody": None}]
    assert (done["status"], done["nextAttemptAt"]) == ("delivered", None)
    assert await listed(api, f"integrationId={integration}") == [done]


async def test_a_lease_that_ran_out_leaves_the_delivery_due(
    api: Api, queue: PostgresQueue, pool: asyncpg.Pool
) -> None:
    integration = await an_integration(api, pbx=(pbx := a_pbx()))
    await send(api, pbx=pbx)
    [job] = await claim(queue, integration)
    await pool.execute("update pending set leased_until = now() where id = $1", job.id)
    assert (await read(api, job.id))["nextAttemptAt"] is not None


async def test_deliveries_are_found_by_every_filter(api: Api, queue: PostgresQueue) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    mine = f"integrationId={integration}"
    await send(api, pbx=pbx, type="call:start")
    await settle(queue, integration)
    await send(api, pbx=pbx, type="call:update")
    await settle(queue, integration, Failed(FailReason.EXHAUSTED), status_code=500)
    await send(api, pbx=pbx, type="call:end")
    await queue.skip(integration, SkipReason.DISABLED, limit=10)
    await send(api, pbx=pbx, type="call:completed")
    every = ["call:completed", "call:end", "call:update", "call:start"]
    assert await types(api, mine) == every
    for status, name in zip(("pending", "skipped", "failed", "delivered"), every, strict=True):
        assert await types(api, f"{mine}&status={status}") == [name]
        assert await types(api, f"{mine}&type={name}&status={status}") == [name]
    assert await types(api, f"{mine}&status=pending&status=failed") == [every[0], every[2]]
    assert await types(api, f"{mine}&type=call:end&status=pending") == []
    oldest = (await listed(api, mine))[-1]["createdAt"]
    assert await types(api, f"{mine}&since={oldest}") == every
    assert await types(api, f"{mine}&until={oldest}") == []
    assert await types(api, "integrationId=nobody") == []
    failed = await listed(api, f"{mine}&status=failed")
    assert failed[0]["reason"] == "exhausted"


async def test_pages_are_stable_while_deliveries_settle(api: Api, queue: PostgresQueue) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    for number in range(5):
        await send(api, pbx=pbx, time=number)
    query = f"{PATH}?integrationId={integration}&limit=2"
    ids = [each["id"] for each in await listed(api, f"integrationId={integration}")]
    first = (await api.get(query)).json()
    await settle(queue, integration)
    await send(api, pbx=pbx, time=99)
    second = (await api.get(f"{query}&cursor={first['next']}")).json()
    await api.post(f"{PATH}/{ids[4]}/retry")
    third = (await api.get(f"{query}&cursor={second['next']}")).json()
    shown = [each["id"] for page in (first, second, third) for each in page["items"]]
    assert shown == ids
    assert third["next"] is None


async def test_a_page_that_was_cut_short_says_where_to_go_on(
    api: Api, queue: PostgresQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a company's is that has very many integrations: here already one is, after each day."""
    monkeypatch.setattr(ranges, "MANY_SCANS", 0)
    monkeypatch.setattr(ranges, "_MOST_SCANS", 1)
    integration = await an_integration(api, pbx=(pbx := a_pbx()))
    await send(api, pbx=pbx)
    await settle(queue, integration)
    query = f"{PATH}?integrationId={integration}&status=delivered"
    page = (await api.get(query)).json()
    assert page["next"] is not None
    found, pages = page["items"], 1
    while page["next"] is not None:
        page = (await api.get(f"{query}&cursor={page['next']}")).json()
        found += page["items"]
        pages += 1
    assert [each["integrationId"] for each in found] == [integration]
    assert pages > 1


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("status=lost", "status[0]"),
        ("status=failed&status=", "status[1]"),
        ("integrationId=%00", "integrationId"),
        ("type=%00", "type"),
        ("since=soon", "since"),
        ("until=soon", "until"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "since"),
        ("limit=-1", "limit"),
        ("cursor=%00", "cursor"),
    ],
)
async def test_a_wrong_filter_is_named(api: Api, query: str, path: str) -> None:
    answer = await api.get(f"{PATH}?{query}")
    assert answer.status_code == 422, answer.text
    assert [error["path"] for error in answer.json()["errors"]] == [path]


@pytest.mark.parametrize("malformed", ["x", "%00", "00000000-0000-0000-0000-000000000000"])
async def test_what_is_no_deliverys_id_is_not_found(api: Api, malformed: str) -> None:
    for known in (malformed, new_uuid()):
        assert (await api.get(f"{PATH}/{known}")).status_code == 404
        assert (await api.post(f"{PATH}/{known}/retry")).status_code == 404


async def test_a_manager_sees_and_retries_its_own_deliveries_alone(
    api: Api, keys: Keys, queue: PostgresQueue
) -> None:
    pbx, company = a_pbx(), a_pbx()
    own = await an_integration(api, pbx=pbx, company=company)
    others = await an_integration(api, pbx=pbx, company=a_pbx())
    foreign = await an_integration(api, pbx=(elsewhere := a_pbx()))
    await send(api, pbx=pbx)
    await settle(queue, own)
    await send(api, pbx=pbx, time=2)
    await send(api, pbx=elsewhere)

    async def seen(key: str, query: str = "") -> list[str]:
        return [each["integrationId"] for each in await listed(api, query, key)]

    of_pbx, of_company = await keys.manager(pbx=pbx), await keys.manager(company=company)
    assert sorted(await seen(of_pbx)) == sorted([own, others] * 2)
    assert await seen(of_company) == [own, own]
    assert await seen(of_company, f"integrationId={others}") == []
    assert await seen(of_company, f"integrationId={own}&status=delivered") == [own]
    [hidden] = await listed(api, f"integrationId={foreign}")
    for key in (of_pbx, of_company):
        assert (await api.get(f"{PATH}/{hidden['id']}", key=key)).status_code == 404
        assert (await api.post(f"{PATH}/{hidden['id']}/retry", key=key)).status_code == 404
    [mine, _] = await listed(api, f"integrationId={own}")
    assert (await api.post(f"{PATH}/{mine['id']}/retry", key=of_company)).status_code == 202


async def test_a_deleted_integrations_deliveries_stay_listed(
    api: Api, keys: Keys, queue: PostgresQueue
) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    await send(api, pbx=pbx)
    await settle(queue, integration)
    await api.delete(f"/v1/integrations/{integration}")
    key = await keys.manager(pbx=pbx)
    [kept] = await listed(api, f"integrationId={integration}", key)
    assert kept["status"] == "delivered"
    refused = await api.post(f"{PATH}/{kept['id']}/retry", key=key)
    assert refused.status_code == 409
    assert "deleted" in refused.json()["detail"]


@pytest.mark.parametrize(
    "outcome", [DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.SKIPPED]
)
async def test_a_finished_delivery_is_due_for_one_more_attempt(
    api: Api, queue: PostgresQueue, notified: Notified, outcome: DeliveryStatus
) -> None:
    integration = await an_integration(api, pbx=(pbx := a_pbx()))
    await send(api, pbx=pbx)
    if outcome is DeliveryStatus.SKIPPED:
        await queue.skip(integration, SkipReason.DISABLED, limit=10)
    else:
        failed = Failed(FailReason.EXHAUSTED) if outcome is DeliveryStatus.FAILED else None
        await settle(queue, integration, failed)
    [before] = await listed(api, f"integrationId={integration}")
    assert before["status"] == outcome
    notifications = notified.times
    answer = await api.post(f"{PATH}/{before['id']}/retry")
    assert answer.status_code == 202
    assert notified.times == notifications + 1
    after = answer.json()
    assert (after["status"], after["reason"]) == ("pending", None)
    assert after["attempts"] == before["attempts"]
    [job] = await claim(queue, integration)
    assert (str(job.id), job.once, job.attempts) == (before["id"], True, len(before["attempts"]))


async def test_a_waiting_delivery_is_made_due_and_asking_again_changes_nothing(
    api: Api, queue: PostgresQueue
) -> None:
    integration = await an_integration(api, pbx=(pbx := a_pbx()))
    await send(api, pbx=pbx)
    [delivery_id] = await settle(queue, integration, RetryAt(600.0), status_code=503)
    assert await claim(queue, integration) == []
    for _ in range(2):
        answer = await api.post(f"{PATH}/{delivery_id}/retry")
        assert answer.status_code == 202
        assert moment(answer.json()["nextAttemptAt"]) < datetime.now(UTC) + timedelta(seconds=60)
    [job] = await claim(queue, integration)
    assert (job.once, job.attempts) == (False, 1)
    under_way = await api.post(f"{PATH}/{delivery_id}/retry")
    assert (under_way.status_code, under_way.json()["nextAttemptAt"]) == (202, None)


async def test_a_disabled_integration_is_to_be_enabled_first(
    api: Api, queue: PostgresQueue
) -> None:
    integration = await an_integration(api, pbx=(pbx := a_pbx()))
    await send(api, pbx=pbx)
    [delivery_id] = await settle(queue, integration)
    await api.patch(f"/v1/integrations/{integration}", {"enabled": False})
    refused = await api.post(f"{PATH}/{delivery_id}/retry")
    assert refused.status_code == 409
    assert refused.json()["type"] == "/problems/conflict"
    await api.patch(f"/v1/integrations/{integration}", {"enabled": True})
    assert (await api.post(f"{PATH}/{delivery_id}/retry")).status_code == 202


async def test_an_event_past_its_retention_is_not_sent_again(
    api: Api, queue: PostgresQueue, pool: asyncpg.Pool
) -> None:
    integration = await an_integration(api, pbx=(pbx := a_pbx()))
    await send(api, pbx=pbx)
    [delivery_id] = await settle(queue, integration)
    await pool.execute("delete from events where pbx = $1", pbx)
    refused = await api.post(f"{PATH}/{delivery_id}/retry")
    assert refused.status_code == 409
    assert "retention" in refused.json()["detail"]
    assert (await read(api, delivery_id))["status"] == "delivered"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
