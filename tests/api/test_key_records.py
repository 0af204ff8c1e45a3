from datetime import UTC, datetime, timedelta

import pytest

from factories import Json
from support.api_client import Api, Keys
from support.event_history import a_pbx

ALL = "/v1/keys"


async def made(api: Api, **body: object) -> Json:
    answer = await api.post(ALL, body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    key: Json = answer.json()
    return key


async def listed(api: Api, query: str) -> list[str]:
    answer = await api.get(f"{ALL}?{query}")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("9999-12-31T23:59:59.123456+00:00", "9999-12-31T23:59:59.123456Z"),
        ("9999-12-31T12:00:00+12:00", "9999-12-31T00:00:00Z"),
        ("9999-12-31T23:59:60Z", "9999-12-31T23:59:59.999999Z"),  # the last that there is
        ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59.999999Z"),
    ],
)
async def test_a_key_expires_when_it_was_said_to_at_the_end_of_time_too(
    api: Api, sent: str, kept: str
) -> None:
    key = await made(api, role="ingest", expiresAt=sent)
    shown = datetime.fromisoformat(key["expiresAt"])
    expected = datetime.fromisoformat(kept)
    assert abs(shown - expected) < timedelta(milliseconds=1)


async def test_a_key_is_shown_once_and_opens_what_its_role_may(api: Api) -> None:
    pbx = a_pbx()
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    key = await made(api, role="manager", pbx=pbx, name="Session", expiresAt=until)

    assert datetime.fromisoformat(key["expiresAt"]) == datetime.fromisoformat(until)
    assert (key["role"], key["pbx"], key["company"], key["name"], key["state"]) == (
        *("manager", pbx, None, "Session", "valid"),
    )
    secret = key.pop("key")
    assert secret.startswith(key["hint"])
    assert (await api.get("/v1/integrations", key=secret)).status_code == 200
    assert (await api.get(ALL, key=secret)).status_code == 403
    assert (await api.post(ALL, {"role": "admin"}, key=secret)).status_code == 403
    shown = await api.get(f"{ALL}?pbx={pbx}")
    assert shown.json() == {"items": [key], "next": None}
    assert secret not in shown.text


async def test_a_revoked_key_opens_nothing_and_stays_listed(api: Api) -> None:
    key = await made(api, role="admin", name="to go")

    for _ in range(2):  # again changes nothing
        assert (await api.delete(f"{ALL}/{key['id']}")).status_code == 204

    assert (await api.get(ALL, key=key["key"])).status_code == 401
    newest = (await api.get(f"{ALL}?limit=1")).json()["items"][0]
    assert (newest["id"], newest["state"]) == (key["id"], "revoked")
    assert newest["revokedAt"]


async def test_every_key_may_read_what_is_known_of_itself(api: Api) -> None:
    pbx, until = a_pbx(), "2126-01-31T12:00:00Z"
    for body in (
        {"role": "admin", "name": "Operator"},
        {"role": "manager", "pbx": pbx, "expiresAt": until},
        {"role": "ingest", "company": "it_w7", "name": "PBX"},
    ):
        key = await made(api, **body)
        answer = await api.get(f"{ALL}/current", key=key.pop("key"))
        assert answer.status_code == 200
        current = answer.json()
        assert current | {"lastUsedAt": None} == key
    assert (await api.get(f"{ALL}/current?pbx={pbx}")).status_code == 422


async def test_a_key_may_revoke_itself(api: Api) -> None:
    key = await made(api, role="admin")
    assert (await api.delete(f"{ALL}/{key['id']}", key=key["key"])).status_code == 204
    assert (await api.get(ALL, key=key["key"])).status_code == 401


async def test_a_key_that_is_not_there_is_not_found(api: Api) -> None:
    missing = await api.delete(f"{ALL}/01a20a4b-b3ae-750b-8a93-2500e569c584")
    assert missing.status_code == 404
    assert (await api.delete(f"{ALL}/nonsense")).status_code == 404


async def test_keys_are_listed_by_role_tenant_and_state_in_pages(api: Api, keys: Keys) -> None:
    pbx, company = a_pbx(), f"it_{a_pbx()}"
    manager = (await made(api, role="manager", pbx=pbx))["id"]
    sender = (await made(api, role="ingest", pbx=pbx))["id"]
    of_company = (await made(api, role="ingest", company=company))["id"]
    await api.delete(f"{ALL}/{sender}")
    await keys.expired()

    assert await listed(api, f"pbx={pbx}") == [sender, manager]
    assert await listed(api, f"pbx={pbx}&role=manager") == [manager]
    assert await listed(api, f"pbx={pbx}&state=valid") == [manager]
    assert await listed(api, f"pbx={pbx}&state=revoked") == [sender]
    assert await listed(api, f"company={company}") == [of_company]
    states = {item["state"] for item in (await api.get(f"{ALL}?state=expired")).json()["items"]}
    assert states == {"expired"}
    first = (await api.get(f"{ALL}?pbx={pbx}&limit=1")).json()
    await made(api, role="ingest", pbx=pbx)
    assert await listed(api, f"pbx={pbx}&limit=1&cursor={first['next']}") == [manager]


@pytest.mark.parametrize(
    ("body", "path", "told"),
    [
        ({}, "role", "needed"),
        ({"role": "boss"}, "role", "admin, manager or ingest"),
        ({"role": "manager"}, "role", "name it"),
        ({"role": "admin", "pbx": "1"}, "role", "leave the PBX"),
        ({"role": "ingest", "pbx": "1", "company": "c"}, "company", "not to both"),
        ({"role": "ingest", "name": "two\nlines"}, "name", "control characters"),
        ({"role": "ingest", "expiresAt": "2020-01-31T12:00:00Z"}, "expiresAt", "past"),
        ({"role": "ingest", "expiresAt": "tomorrow"}, "expiresAt", "timestamp like"),
        ({"role": "ingest", "expiresAt": 4102444800}, "expiresAt", "timestamp like"),
        (
            {"role": "ingest", "expires_at": "2126-01-31T12:00:00Z"},
            "expires_at",
            "no such field; names are written like expiresAt",
        ),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(
    api: Api, body: Json, path: str, told: str
) -> None:
    answer = await api.post(ALL, body)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["path"] == path
    assert told in error["message"]
