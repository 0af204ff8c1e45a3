"""What was read, sent back: unchanged, stale, or to ask whether it still holds."""

import asyncpg
import pytest

from factories import Json, a_queue, a_webhook
from support.api_client import Api

ALL = "/v1/integrations"
FAILING = """
    insert into integration_health
        (integration_id, state, failing_since, last_error, last_error_at, paused_until)
    values ($1, 'paused', now(), 'timeout', now(), now() + interval '1 hour')
"""


async def make(api: Api, document: Json) -> str:
    answer = await api.post(ALL, document)
    assert answer.status_code == 201, answer.text
    return f"{ALL}/{answer.json()['id']}"


async def fails(pool: asyncpg.Pool, path: str) -> None:
    await pool.execute(FAILING, path.rpartition("/")[2])


@pytest.mark.parametrize(
    "document",
    [
        a_webhook(headers={"X-B": "1", "X-A": "2"}, rateLimit=5, maxInFlight=3),
        a_webhook(pbx=None, company="it_round"),
        a_webhook(enabled=False),
        a_queue(),
    ],
)
async def test_a_whole_answer_sent_back_changes_nothing_and_wakes_nobody(
    api: Api, pool: asyncpg.Pool, document: Json
) -> None:
    path = await make(api, document)
    await fails(pool, path)
    read = await api.get(path)
    revision = await pool.fetchval("select value from revision")
    for headers in ({}, {"If-Match": read.headers["etag"]}):
        answer = await api.patch(path, read.json(), headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json() == read.json()
        assert answer.headers["etag"] == read.headers["etag"]
    assert await pool.fetchval("select value from revision") == revision
    assert (await api.get(path)).json() == read.json()


async def test_a_whole_answer_with_one_field_changed_changes_that_alone(api: Api) -> None:
    path = await make(api, a_queue())
    before = (await api.get(path)).json()
    after = (await api.patch(path, before | {"name": "New"})).json()
    assert after == before | {
        "name": "New",
        "version": before["version"] + 1,
        "updatedAt": after["updatedAt"],
    }
    assert after["updatedAt"] > before["updatedAt"]


async def test_the_answer_to_the_creation_may_be_sent_back_too(api: Api) -> None:
    made = (await api.post(ALL, a_webhook())).json()
    answer = await api.patch(f"{ALL}/{made['id']}", made)
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == 1


async def test_the_same_values_written_otherwise_are_no_change(api: Api) -> None:
    path = await make(api, a_webhook(headers={"X-A": "1"}))
    before = (await api.get(path)).json()
    sent = {
        "createdAt": before["createdAt"].replace("Z", "+00:00"),
        "events": {"call": "all", "analytics": ["call:completed", "call:completed"], "chat": None},
        "transmission": {"headers": {"X-A": "1", "X-B": None}},
    }
    answer = await api.patch(path, sent)
    assert (answer.status_code, answer.json()) == (200, before)


async def test_the_same_aws_key_is_no_change(api: Api) -> None:
    document = a_queue()
    path = await make(api, document)
    answer = await api.patch(path, {"transmission": document["transmission"] | {"type": "AWS_SQS"}})
    assert answer.json()["version"] == 1


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"id": "abcdef"}, "id"),
        ({"pbx": "000000000002"}, "pbx"),
        ({"company": "it_other"}, "company"),
        ({"company": None}, "company"),
        ({"version": 2}, "version"),
        ({"version": "1"}, "version"),
        ({"version": True}, "version"),
        ({"createdAt": "2026-01-31T12:00:00Z"}, "createdAt"),
        ({"updatedAt": None}, "updatedAt"),
        ({"health": {"state": "healthy"}}, "health"),
        ({"health": None}, "health"),
        ({"transmission": {"type": "AWS_SQS"}}, "transmission.type"),
        ({"transmission": {"secret": "x" * 32}}, "transmission.secret"),
        ({"transmission": {"accessKeyId": "MPLE"}}, "transmission.accessKeyId"),
    ],
)
async def test_another_value_for_a_read_only_field_is_refused_and_says_so(
    api: Api, changes: Json, path: str
) -> None:
    address = await make(api, a_webhook(company="it_own"))
    answer = await api.patch(address, changes)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["path"] == path
    assert "read-only" in error["message"]


async def test_enabling_ends_a_pause_unless_the_health_is_sent_back(
    api: Api, pool: asyncpg.Pool
) -> None:
    path = await make(api, a_webhook())
    await fails(pool, path)
    paused = (await api.get(path)).json()
    kept = await api.patch(path, {"enabled": True, "health": paused["health"]})
    assert kept.json()["health"]["state"] == "paused"
    cleared = await api.patch(path, {"enabled": True})
    assert cleared.json()["health"]["state"] == "healthy"
    assert cleared.json()["version"] == paused["version"]
    await fails(pool, path)
    off = (await api.patch(path, {"enabled": False})).json()
    on = await api.patch(path, off | {"enabled": True})
    assert on.json()["health"]["state"] == "healthy"


async def test_every_item_of_a_list_carries_its_version(api: Api) -> None:
    path = await make(api, a_webhook(pbx="versions"))
    await api.patch(path, {"name": "Twice"})
    [item] = (await api.get(f"{ALL}?pbx=versions")).json()["items"]
    assert item["version"] == 2
    assert (await api.get(path)).headers["etag"] == f'"{item["version"]}"'
    stale = await api.patch(path, {"name": "Lost"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    changed = await api.patch(path, {"name": "Kept"}, headers={"If-Match": f'"{item["version"]}"'})
    assert changed.is_success


async def test_a_stale_version_rotates_no_secret(api: Api) -> None:
    path = await make(api, a_webhook())
    secret = (await api.get(f"{path}/secret")).json()["secret"]
    await api.patch(path, {"name": "New"})
    refused = await api.post(f"{path}/rotate-secret", headers={"If-Match": '"1"'})
    assert refused.status_code == 412
    assert (await api.get(f"{path}/secret")).json()["secret"] == secret
    rotated = await api.post(f"{path}/rotate-secret", headers={"If-Match": '"2"'})
    assert rotated.json()["secret"] != secret


async def test_if_none_match_spares_what_is_known_and_never_hides_news(
    api: Api, pool: asyncpg.Pool
) -> None:
    path = await make(api, a_webhook())
    tag = (await api.get(path)).headers["etag"]
    for known in (tag, f"W/{tag}", f'"7", {tag}', "*"):
        answer = await api.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b""), known
        assert answer.headers["etag"] == tag
    await fails(pool, path)
    news = await api.get(path, headers={"If-None-Match": tag})
    assert (news.status_code, news.json()["health"]["state"]) == (200, "paused")
    failing = news.headers["etag"]
    assert (await api.get(path, headers={"If-None-Match": failing})).status_code == 304
    changed = await api.patch(path, {"name": "New"}, headers={"If-Match": failing})
    assert changed.status_code == 200
    assert (await api.get(path, headers={"If-None-Match": failing})).status_code == 200


@pytest.mark.parametrize(
    "sent", ["1", '"1', '1"', 'w/"1"', '"1" "2"', '*, "1"', "", "a b", '"a\x7fb"', "'1'"]
)
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
async def test_a_malformed_entity_tag_is_told(api: Api, header: str, sent: str) -> None:
    path = await make(api, a_webhook())
    method = "DELETE" if header == "If-Match" else "GET"
    answer = await api.request(method, path, headers={header: sent})
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [header]


@pytest.mark.parametrize("sent", ['W/"1"', '"0"', '""', '"01"', '"1-"', '"x", , "y"', '"1 "'])
async def test_a_weak_or_foreign_entity_tag_matches_nothing(api: Api, sent: str) -> None:
    path = await make(api, a_webhook())
    expected = 422 if " " in sent.replace(", ", "") else 412
    assert (await api.delete(path, headers={"If-Match": sent})).status_code == expected
    lines = [("If-Match", '"7"'), ("If-Match", '"1"')]
    several = await api.client.delete(
        path, headers=[*lines, ("Authorization", f"Bearer {api._key}")]
    )
    assert several.status_code == 204
