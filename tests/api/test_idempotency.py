"""A creation that is sent again is answered with the first result, from any number of senders."""

import asyncio

import asyncpg
import httpx
import pytest

from factories import Json, a_queue, a_webhook
from support.api_client import Api, Keys
from support.databases import Databases
from support.service import services

ALL = "/v1/integrations"


async def create(
    api: Api, document: Json, key: str = "first", *, caller: str = ""
) -> httpx.Response:
    return await api.post(ALL, document, headers={"Idempotency-Key": key}, key=caller)


async def test_of_fifty_copies_at_once_in_two_processes_one_creates(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> None:
    folder = tmp_path_factory.mktemp("idempotency")
    async with databases.migrated() as dsn, services(folder, DATABASE_URL=dsn) as starter:
        processes = [await starter.start(), await starter.start()]
        document = a_webhook(url="http://127.0.0.1:9/hook")
        answers = await asyncio.gather(*(create(processes[n % 2].api, document) for n in range(50)))
        first = answers[0]
        assert first.status_code == 201, first.text
        assert len(first.json()["transmission"]["secret"]) == 32
        for answer in answers:
            assert (answer.status_code, answer.json()) == (201, first.json())
            for header in ("location", "etag"):
                assert answer.headers[header] == first.headers[header]
        [only] = (await processes[0].read(ALL))["items"]
        assert first.headers["location"] == f"{ALL}/{only['id']}"


async def test_a_repetition_is_answered_as_the_first_whatever_happened_meanwhile(api: Api) -> None:
    first = await create(api, a_webhook(), "later")
    address = first.headers["location"]
    await api.patch(address, {"name": "New", "enabled": False})
    await api.post(f"{address}/rotate-secret")
    again = await create(api, dict(reversed(a_webhook().items())), "later")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["etag"] == first.headers["etag"]
    assert (await api.get(address)).json()["name"] == "New"


async def test_another_body_is_a_conflict_and_creates_nothing(api: Api) -> None:
    await create(api, a_webhook(pbx="twice"), "conflict")
    for other in (a_webhook(pbx="twice", name="Other"), a_queue(pbx="twice")):
        answer = await create(api, other, "conflict")
        assert answer.status_code == 409
        assert answer.json()["type"] == "/problems/conflict"
    assert len((await api.get(f"{ALL}?pbx=twice")).json()["items"]) == 1


async def test_a_key_is_its_callers_own(api: Api, keys: Keys) -> None:
    document = a_webhook(pbx="own")
    callers = ["", await keys.admin(), await keys.manager(pbx="own")]
    made = {(await create(api, document, "own", caller=each)).json()["id"] for each in callers}
    assert len(made) == 3


async def test_what_was_refused_is_not_kept(api: Api) -> None:
    assert (await create(api, a_webhook(name=""), "refused")).status_code == 422
    assert (await create(api, a_webhook(events={"calls": "all"}), "refused")).status_code == 422
    assert (await create(api, a_webhook(), "refused")).status_code == 201


async def test_what_was_deleted_is_not_made_again(api: Api, pool: asyncpg.Pool) -> None:
    first = await create(api, a_webhook(pbx="deleted"), "deleted")
    assert (await api.delete(first.headers["location"])).status_code == 204
    answer = await create(api, a_webhook(pbx="deleted"), "deleted")
    assert answer.status_code == 409
    assert "deleted" in answer.json()["detail"]
    assert (await api.get(f"{ALL}?pbx=deleted")).json()["items"] == []
    kept = "select result from idempotency_keys where integration_id = $1"
    assert await pool.fetchval(kept, first.json()["id"]) is None


async def test_a_key_ends_after_a_day_and_leaves_nothing_behind(
    api: Api, pool: asyncpg.Pool
) -> None:
    first = await create(api, a_webhook(), "ends")
    identity = first.json()["id"]
    aged = """
        update idempotency_keys set created_at = now() - $2 * interval '1 hour'
        where integration_id = $1
    """
    await pool.execute(aged, identity, 23.9)
    assert (await create(api, a_webhook(), "ends")).json()["id"] == identity
    await pool.execute(aged, identity, 24.1)
    another = await create(api, a_webhook(), "ends")
    assert another.status_code == 201
    assert another.json()["id"] != identity
    count = "select count(*) from idempotency_keys where integration_id = $1"
    assert await pool.fetchval(count, identity) == 0


async def test_no_secret_is_kept_readable(api: Api, pool: asyncpg.Pool) -> None:
    made = (await create(api, a_webhook(headers={"X-Key": "marked"}), "encrypted")).json()
    query = "select result from idempotency_keys where integration_id = $1"
    kept = await pool.fetchval(query, made["id"])
    assert made["transmission"]["secret"].encode() not in kept
    assert b"marked" not in kept


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "caf\xe9", "a\tb"])
async def test_a_key_of_another_form_is_told(api: Api, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = await api.post(ALL, a_webhook(pbx="form"), headers=headers)
    assert answer.status_code == 422
    assert [each["path"] for each in answer.json()["errors"]] == ["Idempotency-Key"]
    assert (await api.get(f"{ALL}?pbx=form")).json()["items"] == []
