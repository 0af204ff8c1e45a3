"""What was read is sent back to the real server: whole, changed, stale, unnamed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from factories import Json, a_queue, a_webhook, an_event
from support.databases import Databases
from support.service import Service, eventually, services

ALL = "/v1/integrations"
NOWHERE = "http://127.0.0.1:9/hook"  # nobody listens there
UNNAMED = {field: value for field, value in a_webhook(url=NOWHERE).items() if field != "name"}
MADE = {
    "a webhook": a_webhook(url=NOWHERE, headers={"X-A": "1"}, rateLimit=5, ordering="subject"),
    "an unnamed one": UNNAMED,
    "a queue": a_queue(),
    "a disabled one": a_webhook(url=NOWHERE, enabled=False),
    "one of a company": a_webhook(url=NOWHERE, pbx=None, company="it_whole"),
    "one that fails": a_webhook(url=NOWHERE, pbx="failing", maxInFlight=1),
    "one whose PBX moved": a_webhook(url=NOWHERE, pbx="moving", company="it_before"),
}


@pytest.fixture(scope="module")
async def service(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> AsyncIterator[Service]:
    folder = tmp_path_factory.mktemp("changes")
    async with databases.migrated() as dsn, services(folder, DATABASE_URL=dsn) as starter:
        yield await starter.start(RETRY_DELAYS="0.05,0.05,0.05")


async def make(service: Service, document: Json) -> str:
    answer = await service.api.post(ALL, document)
    assert answer.status_code == 201, answer.text
    return f"{ALL}/{answer.json()['id']}"


@pytest.mark.parametrize("kind", MADE)
async def test_a_whole_answer_sent_back_unchanged_changes_nothing(
    service: Service, kind: str
) -> None:
    path = await make(service, MADE[kind])
    if "fails" in kind:
        sent = await service.send(an_event(pbx="failing", type="call:live:progress"))
        await service.settled(sent["eventId"])
        await eventually(
            lambda: service.read(path), lambda read: read["health"]["lastError"] is not None
        )
    if "moved" in kind:
        await service.api.put("/v1/pbxs/moving", {"company": "it_after", "license": "x-bees"})
        assert (await service.read(path))["health"]["disabledReason"] == "moved"
    read = await service.api.get(path)
    for headers in ({}, {"If-Match": read.headers["etag"]}):
        answer = await service.api.patch(path, read.json(), headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json() == read.json(), "updatedAt and version included"
        assert answer.headers["etag"] == read.headers["etag"]
    after = await service.api.get(path)
    assert (after.json(), after.headers["etag"]) == (read.json(), read.headers["etag"])


async def test_many_changes_of_one_version_let_one_through(service: Service) -> None:
    path = await make(service, a_webhook(url=NOWHERE, pbx="raced"))
    tag = (await service.api.get(path)).headers["etag"]
    changes = [
        service.api.patch(path, {"name": f"Name {n}"}, headers={"If-Match": tag}) for n in range(10)
    ]
    statuses = [answer.status_code for answer in await asyncio.gather(*changes)]
    assert sorted(statuses) == [200] + [412] * 9
    [listed] = (await service.read(f"{ALL}?pbx=raced"))["items"]
    assert listed["version"] == 2
    stale = await service.api.post(f"{path}/rotate-secret", headers={"If-Match": tag})
    assert stale.status_code == 412
    current = {"If-Match": f'"{listed["version"]}"'}
    assert (await service.api.post(f"{path}/rotate-secret", headers=current)).status_code == 200


async def test_a_record_of_a_pbx_sent_back_whole_changes_nothing(service: Service) -> None:
    path = "/v1/pbxs/whole"
    described = {"company": "it_1", "license": "collaboration", "presenceEvents": True}
    made = await service.api.put(path, described | {"pbx": "whole"})
    assert made.status_code == 200, made.text
    for document in (described, made.json(), (await service.api.get(path)).json()):
        answer = await service.api.put(path, document)
        assert (answer.status_code, answer.json()) == (200, made.json()), answer.text
        assert answer.headers["etag"] == made.headers["etag"]
    changed = await service.api.put(path, made.json() | {"presenceEvents": False})
    assert changed.json()["presenceEvents"] is False
    assert changed.headers["etag"] != made.headers["etag"]


async def test_a_pbx_keeps_its_events_for_as_long_as_it_asks_and_no_longer_than_everybody(
    service: Service,
) -> None:
    path, described = "/v1/pbxs/kept", {"company": "it_kept", "license": "x-bees"}
    put = await service.api.put(path, described | {"retentionDays": 7})
    assert (put.status_code, put.json()["retentionDays"]) == (200, 7)
    listed = (await service.read("/v1/pbxs?company=it_kept"))["items"]
    assert [each["retentionDays"] for each in listed] == [7]
    beyond = await service.api.put(path, described | {"retentionDays": 31})
    assert beyond.status_code == 422
    [told] = beyond.json()["errors"]
    assert told["path"] == "retentionDays"
    assert told["message"].startswith("At most 30: the service keeps everybody's events for 30")
    assert (await service.api.put(path, described)).json()["retentionDays"] is None


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"pbx": "other"}, "pbx"),
        ({"pbx": None}, "pbx"),
        ({"updatedAt": "2026-01-31T12:00:00Z"}, "updatedAt"),
        ({"version": 1}, "version"),
    ],
)
async def test_a_record_says_nothing_else_of_what_is_read_only(
    service: Service, wrong: Json, path: str
) -> None:
    described = {"company": "it_1", "license": "x-bees"}
    await service.api.put("/v1/pbxs/strict", described)
    answer = await service.api.put("/v1/pbxs/strict", described | wrong)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["path"] == path
    assert "integration" not in error["message"].lower()


async def test_an_event_type_sent_back_whole_changes_nothing(service: Service) -> None:
    name = "call:live:whole"
    path = f"/v1/event-types/{name}"
    example = {"id": "1", "company": "c", "time": 1, "type": name, "data": {"b": 1, "a": 2}}
    described = {"group": "call", "title": "Whole", "example": example}
    made = await service.api.put(path, described | {"name": name, "builtIn": False})
    assert made.status_code == 200, made.text
    for document in (described, made.json()):
        answer = await service.api.put(path, document)
        assert (answer.status_code, answer.json()) == (200, made.json()), answer.text
    wrong = made.json() | {"name": "other", "builtIn": True, "updatedAt": "2026-01-31T12:00:00Z"}
    refused = await service.api.put(path, wrong)
    assert refused.status_code == 422
    assert [each["path"] for each in refused.json()["errors"]] == ["name", "builtIn", "updatedAt"]
    changed = (await service.api.put(path, made.json() | {"title": "Other"})).json()
    assert changed["title"] == "Other"
    assert changed["updatedAt"] > made.json()["updatedAt"]
