import json
from datetime import datetime, timedelta
from urllib.parse import quote

import asyncpg
import pytest

from factories import Json, an_event
from hookline.domain.deliveries import Failed, FailReason, RetryAt, SkipReason
from hookline.domain.ids import new_uuid
from hookline.queue.postgres import PostgresQueue
from support.api_client import Api, Keys
from support.event_history import a_pbx, an_integration, send, settle

PATH = "/v1/events"


async def read(api: Api, event_id: str, key: str = "") -> Json:
    answer = await api.get(f"{PATH}/{event_id}", key=key)
    assert answer.status_code == 200, answer.text
    record: Json = answer.json()
    return record


async def subjects(api: Api, query: str, key: str = "") -> list[str]:
    answer = await api.get(f"{PATH}?{query}", key=key)
    assert answer.status_code == 200, answer.text
    return [item["subject"] for item in answer.json()["items"]]


async def test_an_event_tells_each_integrations_outcome_and_reason(
    api: Api, queue: PostgresQueue
) -> None:
    pbx = a_pbx()
    chosen = {"analytics": "all"}
    made = {
        name: await an_integration(api, pbx=pbx, events=chosen, enabled=name != "off")
        for name in ("delivered", "failed", "waiting", "off")
    }
    made["other"] = await an_integration(api, pbx=pbx, events={"chat": "all"})
    receipt = await send(api, pbx=pbx)
    assert receipt["deliveries"] == 3
    [delivered] = await settle(queue, made["delivered"])
    [failed] = await settle(queue, made["failed"], Failed(FailReason.REJECTED), status_code=404)
    record = await read(api, receipt["eventId"])
    assert record["event"] == an_event(pbx=pbx)
    assert list(record) == ["eventId", "acceptedAt", "erasedAt", "event", "outcomes"]
    told = {each["integrationId"]: each for each in record["outcomes"]}
    waiting = told[made["waiting"]]["deliveryId"]
    details = {name: told[made[name]].pop("detail") for name in made}
    assert details["off"] is details["other"] is None
    assert details["delivered"]["lastAttempt"]["statusCode"] == 200
    failed_for = details["failed"]
    assert (failed_for["attempts"], failed_for["lastAttempt"]["statusCode"]) == (1, 404)
    assert failed_for["nextAttemptAt"] is None
    assert (details["waiting"]["attempts"], details["waiting"]["lastAttempt"]) == (0, None)
    assert details["waiting"]["nextAttemptAt"] is not None
    assert told == {
        made["delivered"]: {
            "integrationId": made["delivered"],
            "status": "delivered",
            "reason": None,
            "deliveryId": str(delivered),
        },
        made["failed"]: {
            "integrationId": made["failed"],
            "status": "failed",
            "reason": "rejected",
            "deliveryId": str(failed),
        },
        made["waiting"]: {
            "integrationId": made["waiting"],
            "status": "pending",
            "reason": None,
            "deliveryId": waiting,
        },
        made["off"]: {
            "integrationId": made["off"],
            "status": "skipped",
            "reason": "disabled",
            "deliveryId": None,
        },
        made["other"]: {
            "integrationId": made["other"],
            "status": "skipped",
            "reason": "not_selected",
            "deliveryId": None,
        },
    }
    assert (await api.get(f"/v1/deliveries/{waiting}")).json()["eventId"] == receipt["eventId"]
    with_delivery = [each["deliveryId"] is not None for each in record["outcomes"]]
    assert with_delivery == [True, True, True, False, False]


async def test_what_is_pending_tells_what_it_waits_for(
    api: Api, queue: PostgresQueue, pool: asyncpg.Pool
) -> None:
    pbx = a_pbx()
    ordered = await an_integration(api, pbx=pbx, ordering="subject")
    paused = await an_integration(api, pbx=pbx)
    events = [(await send(api, pbx=pbx, data={"number": each}))["eventId"] for each in range(2)]
    await settle(queue, paused, RetryAt(60.0), status_code=503, response=b"Back soon.")
    await pool.execute(
        "insert into integration_health values ($1, 'paused', now() - interval '3 min', 'status',"
        " now() - interval '2 min', now(), 0)",
        paused,
    )

    first, second = [
        {each["integrationId"]: each for each in (await read(api, event))["outcomes"]}
        for event in events
    ]
    assert first[ordered]["detail"]["behind"] is None
    assert second[ordered]["detail"]["behind"] == first[ordered]["deliveryId"]
    assert second[ordered]["detail"]["paused"] is False
    told = first[paused]["detail"]
    assert (told["paused"], told["behind"], told["attempts"]) == (True, None, 1)
    assert told["failingSince"] < told["pausedSince"] < told["nextProbeAt"]
    assert told["lastAttempt"]["responseBody"] == "Back soon."
    assert told["nextAttemptAt"] > told["lastAttempt"]["startedAt"]


async def test_a_presence_event_that_the_licence_holds_back_says_so(api: Api) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx, events={"presence": "all"})
    await api.put(f"/v1/pbxs/{pbx}", {"company": "it_w000001", "license": "collaboration"})
    receipt = await send(api, pbx=pbx, type="presence:user")
    [outcome] = (await read(api, receipt["eventId"]))["outcomes"]
    assert (outcome["integrationId"], outcome["reason"]) == (integration, "licence")


async def test_what_a_deleted_integration_had_waiting_ends_as_deleted(
    api: Api, queue: PostgresQueue
) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    receipt = await send(api, pbx=pbx)
    await api.delete(f"/v1/integrations/{integration}")
    assert await queue.skip(integration, SkipReason.DELETED, limit=10) == 1
    [outcome] = (await read(api, receipt["eventId"]))["outcomes"]
    assert (outcome["status"], outcome["reason"]) == ("skipped", "deleted")


async def test_the_envelope_is_shown_as_it_was_stored(api: Api) -> None:
    sent = '{"b":1,"2":1.0,"1":1e21,"tiny":1E-7,"minus":-0.0,"big":12345678901234567890}'
    raw = json.dumps(an_event(pbx=a_pbx(), data="DATA")).replace('"DATA"', sent)
    receipt = (await api.request("POST", PATH, content=raw.encode())).json()
    text = (await api.get(f"{PATH}/{receipt['eventId']}")).text
    data = '{"1":1e+21,"2":1,"b":1,"tiny":1e-7,"minus":0,"big":12345678901234567000}'
    assert f'"data":{data}' in text


UNKNOWN = "3f2b8c1e-9d4a-4c6b-8e2f-5a7d1c9b0e36"
IN_BRACES = "{0190e5a1-7c3e-7d52-9f5a-3c1f6b9d2e4f}"


@pytest.mark.parametrize("malformed", ["x", "%00", "1", UNKNOWN, IN_BRACES, "%F0%9F"])
async def test_what_is_no_events_id_is_not_found(api: Api, malformed: str) -> None:
    for path in (f"{PATH}/{malformed}", f"{PATH}/{new_uuid()}"):
        answer = await api.get(path)
        assert answer.status_code == 404
        assert answer.json()["type"] == "/problems/not-found"


async def test_events_are_found_by_every_filter(api: Api) -> None:
    pbx, other, company = a_pbx(), a_pbx(), a_pbx()
    await send(api, pbx=pbx, id=f"{pbx}-1", type="call:start", company=company)
    await send(api, pbx=pbx, id=f"{pbx}-1", type="call:end", company=company)
    await send(api, pbx=other, id=f"{pbx}-2", type="call:start", company=company)
    await send(api, pbx=None, id=f"{pbx}-3", type="chat:message:new", company=company)
    assert await subjects(api, f"pbx={pbx}") == [f"{pbx}-1"] * 2
    assert await subjects(api, f"pbx={pbx}&type=call:end") == [f"{pbx}-1"]
    assert await subjects(api, f"subject={pbx}-2") == [f"{pbx}-2"]
    newest_first = [f"{pbx}-3", f"{pbx}-2", f"{pbx}-1", f"{pbx}-1"]
    assert await subjects(api, f"company={company}") == newest_first
    assert await subjects(api, f"company={company}&pbx={other}") == [f"{pbx}-2"]
    assert await subjects(api, f"company={company}&subject=nobody") == []


async def test_events_are_found_by_the_moment_of_their_acceptance(api: Api) -> None:
    pbx = a_pbx()
    for number in range(3):
        await send(api, pbx=pbx, id=str(number), time=0)
    items = (await api.get(f"{PATH}?pbx={pbx}")).json()["items"]
    second = items[1]["acceptedAt"]
    same = [item["subject"] for item in items if item["acceptedAt"] == second]
    before = [item["subject"] for item in items if item["acceptedAt"] < second]
    after = [item["subject"] for item in items if item["acceptedAt"] > second]
    assert await subjects(api, f"pbx={pbx}&since={second}") == after + same
    assert await subjects(api, f"pbx={pbx}&until={second}") == before
    local = datetime.fromisoformat(second).astimezone().isoformat()
    assert await subjects(api, f"pbx={pbx}&since={quote(local)}") == after + same
    assert await subjects(api, f"pbx={pbx}&until={second.removesuffix('Z')}") == before
    tomorrow = datetime.fromisoformat(second) + timedelta(days=1)
    assert await subjects(api, f"pbx={pbx}&since={quote(tomorrow.isoformat())}") == []
    assert len(await subjects(api, f"pbx={pbx}&since=0001-01-01T00:00:00Z")) == 3
    assert len(await subjects(api, f"pbx={pbx}&until=9999-12-31T23:59:59Z")) == 3


async def test_pages_are_stable_while_events_arrive(api: Api) -> None:
    pbx = a_pbx()
    for number in range(5):
        await send(api, pbx=pbx, id=str(number))
    first = (await api.get(f"{PATH}?pbx={pbx}&limit=2")).json()
    await send(api, pbx=pbx, id="late")
    second = (await api.get(f"{PATH}?pbx={pbx}&limit=2&cursor={first['next']}")).json()
    third = (await api.get(f"{PATH}?pbx={pbx}&limit=2&cursor={second['next']}")).json()
    shown = [item["subject"] for page in (first, second, third) for item in page["items"]]
    assert shown == ["4", "3", "2", "1", "0"]
    assert third["next"] is None
    other = await api.get(f"{PATH}?pbx={a_pbx()}&cursor={first['next']}")
    assert other.status_code == 422
    assert other.json()["errors"][0]["path"] == "cursor"


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "since"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("cursor=x", "cursor"),
        ("since=yesterday", "since"),
        ("since=0.5", "since"),
        ("until=-1721836787753", "until"),
        ("until=2026-13-01T00:00:00Z", "until"),
        ("subject=%00", "subject"),
        ("subject=" + "x" * 256, "subject"),
        ("pbx=%00", "pbx"),
        ("company=", "company"),
        ("type=a%00", "type"),
    ],
)
async def test_a_wrong_filter_is_named(api: Api, query: str, path: str) -> None:
    answer = await api.get(f"{PATH}?{query}")
    assert answer.status_code == 422, answer.text
    assert [error["path"] for error in answer.json()["errors"]] == [path]


async def test_a_manager_finds_its_own_events_alone(api: Api, keys: Keys) -> None:
    pbx, company = a_pbx(), a_pbx()
    own = await send(api, pbx=pbx, company=company, id="own")
    other = await send(api, pbx=a_pbx(), company=a_pbx(), id="other")
    for key in (await keys.manager(pbx=pbx), await keys.manager(company=company)):
        assert await subjects(api, "limit=200", key) == ["own"]
        assert (await read(api, own["eventId"], key))["event"]["id"] == "own"
        assert (await api.get(f"{PATH}/{other['eventId']}", key=key)).status_code == 404


async def test_a_company_does_not_see_what_anothers_pbx_sends_in_its_name(
    api: Api, keys: Keys
) -> None:
    pbx, company = a_pbx(), a_pbx()
    await api.put(f"/v1/pbxs/{pbx}", {"company": "another", "license": "x-bees"})
    receipt = await send(api, pbx=pbx, company=company)
    key = await keys.manager(company=company)
    assert await subjects(api, "", key) == []
    assert (await api.get(f"{PATH}/{receipt['eventId']}", key=key)).status_code == 404


async def test_a_manager_sees_the_outcomes_of_its_own_integrations_alone(
    api: Api, keys: Keys
) -> None:
    pbx, company, another = a_pbx(), a_pbx(), a_pbx()
    own = await an_integration(api, pbx=pbx, company=company)
    others = await an_integration(api, pbx=pbx, company=another)
    unwanted = await an_integration(api, pbx=pbx, company=another, events={"chat": "all"})
    event_id = (await send(api, pbx=pbx, company="a third"))["eventId"]

    async def seen(key: str) -> set[str]:
        outcomes = (await read(api, event_id, key))["outcomes"]
        return {each["integrationId"] for each in outcomes}

    assert await seen("") == {own, others, unwanted}
    assert await seen(await keys.manager(pbx=pbx)) == {own, others, unwanted}
    assert await seen(await keys.manager(company=company)) == {own}
    assert await seen(await keys.manager(company=another)) == {others, unwanted}
    other_company = await keys.manager(company=a_pbx())
    assert (await api.get(f"{PATH}/{event_id}", key=other_company)).status_code == 404


async def test_an_ingest_key_reads_nothing(api: Api, keys: Keys) -> None:
    pbx = a_pbx()
    receipt = await send(api, pbx=pbx)
    key = await keys.ingest(pbx=pbx)
    for path in (PATH, f"{PATH}/{receipt['eventId']}", "/v1/deliveries"):
        assert (await api.get(path, key=key)).status_code == 403
