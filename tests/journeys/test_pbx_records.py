"""Whose a PBX is, from outside: every kind of key, with PBXs on record as own, another's, nobody's.

A PBX may move to another company, and back; and a record may be deleted.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count

import pytest

from factories import Json, a_webhook, an_event
from support.api_client import Keys
from support.databases import Databases
from support.receivers import Exchange, receiving
from support.senders import minting
from support.service import Service, services

STATES = ("own", "another's", "nobody's", "moved away", "moved back")
_numbers = count(1)

Table = dict[str, tuple[int, int, int, int, int]]

SENDING: Table = {  # own, another's, nobody's, moved away, moved back
    "admin": (202, 202, 202, 202, 202),
    "ingest of all": (202, 202, 202, 202, 202),
    "ingest of the PBX": (202, 202, 202, 202, 202),
    "ingest of the company": (202, 403, 403, 403, 202),
    "ingest of the other company": (403, 403, 403, 403, 403),
    "manager of the PBX": (403, 403, 403, 403, 403),
    "manager of the company": (403, 403, 403, 403, 403),
}
CREATING: Table = {
    "admin": (201, 201, 201, 201, 201),
    "ingest of the company": (403, 403, 403, 403, 403),
    "manager of the PBX": (201, 201, 201, 201, 201),
    "manager of the company": (201, 403, 403, 403, 201),
    "manager of the other company": (403, 201, 403, 201, 403),
}
READING_THE_RECORD: Table = {
    "admin": (200, 200, 404, 200, 200),
    "ingest of the company": (403, 403, 403, 403, 403),
    "manager of the PBX": (200, 200, 404, 200, 200),
    "manager of the company": (200, 404, 404, 404, 200),
    "manager of the other company": (404, 200, 404, 200, 404),
}
READING_THE_INTEGRATION: Table = {
    "admin": (200, 200, 200, 200, 200),
    "ingest of the company": (403, 403, 403, 403, 403),
    "manager of the PBX": (200, 200, 200, 200, 200),
    "manager of the company": (200, 404, 404, 200, 200),
    "manager of the other company": (404, 200, 404, 200, 404),
}
USING_THE_INTEGRATION: Table = {
    "admin": (200, 200, 200, 200, 200),
    "manager of the PBX": (200, 200, 200, 200, 200),
    "manager of the company": (200, 404, 404, 200, 200),
    "manager of the other company": (404, 200, 404, 403, 404),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A PBX in one of the states, and an integration that was there before it moved."""

    number: int
    integration: Json

    @property
    def pbx(self) -> str:
        return f"{self.number:012}"

    @property
    def ours(self) -> str:
        return f"it_ours{self.number}"

    @property
    def theirs(self) -> str:
        return f"it_theirs{self.number}"

    @property
    def path(self) -> str:
        return f"/v1/integrations/{self.integration['id']}"


async def put(service: Service, pbx: str, company: str) -> None:
    record = {"company": company, "license": "x-bees"}
    assert (await service.api.put(f"/v1/pbxs/{pbx}", record)).status_code == 200


async def a_place(service: Service, state: str, **fields: object) -> Place:
    place = Place(next(_numbers), {})
    first = {"another's": place.theirs, "nobody's": None}.get(state, place.ours)
    if first is not None:
        await put(service, place.pbx, first)
    document = a_webhook(pbx=place.pbx, headers={"X-A": "b"}, **fields)
    answer = await service.api.post("/v1/integrations", document)
    assert answer.status_code == 201, answer.text
    moves = {"moved away": (place.theirs,), "moved back": (place.theirs, place.ours)}
    for company in moves.get(state, ()):
        await put(service, place.pbx, company)
    return replace(place, integration=answer.json())


async def keys_for(keys: Keys, place: Place) -> dict[str, str]:
    return {
        "admin": "",
        "ingest of all": await keys.ingest(),
        "ingest of the PBX": await keys.ingest(pbx=place.pbx),
        "ingest of the company": await keys.ingest(company=place.ours),
        "ingest of the other company": await keys.ingest(company=place.theirs),
        "manager of the PBX": await keys.manager(pbx=place.pbx),
        "manager of the company": await keys.manager(company=place.ours),
        "manager of the other company": await keys.manager(company=place.theirs),
    }


@dataclass(frozen=True, slots=True)
class Home:
    """Two processes of a service, of which one delivers, and keys of whatever kind."""

    service: Service
    other: Service
    keys: Keys


@pytest.fixture(scope="module")
async def home(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> AsyncIterator[Home]:
    quick = {"RETRY_DELAYS": "60", "DELIVERY_TIMEOUT": "1", "MAX_INTEGRATIONS_PER_PBX": "4"}
    folder = tmp_path_factory.mktemp("home")
    async with (
        databases.migrated() as dsn,
        services(folder, DATABASE_URL=dsn, **quick) as opened,
        minting(opened) as keys,
    ):
        yield Home(await opened.start(), await opened.start("--no-engine"), keys)


Ask = Callable[[Service, Place, str, str], Awaitable[int]]  # who asks, and with which key


async def sending(service: Service, place: Place, who: str, key: str) -> int:
    """Send an event alone and another in a batch, which must be judged alike."""
    event = an_event(pbx=place.pbx, company=place.ours, id=who)
    alone = (await service.api.post("/v1/events", event, key=key)).status_code
    batch = {"events": [event | {"time": 1}]}
    answer = await service.api.post("/v1/events/batch", batch, key=key)
    if who.startswith("manager"):
        assert answer.status_code == 403
    else:
        [result] = answer.json()["results"]
        assert result["status"] == ("accepted" if alone == 202 else "invalid")
        assert alone == 202 or result["error"]["type"] == "/problems/forbidden"
    return alone


async def creating(service: Service, place: Place, _who: str, key: str) -> int:
    made = await service.api.post("/v1/integrations", a_webhook(pbx=place.pbx), key=key)
    return made.status_code


async def reading_the_record(service: Service, place: Place, _who: str, key: str) -> int:
    return (await service.api.get(f"/v1/pbxs/{place.pbx}", key=key)).status_code


async def reading(service: Service, place: Place, _who: str, key: str) -> int:
    return (await service.api.get(place.path, key=key)).status_code


async def using(service: Service, place: Place, who: str, key: str) -> int:
    """Change an integration, read its secret and test it: whoever may one, may all."""
    answers = [
        await service.api.patch(place.path, {"name": who}, key=key),
        await service.api.get(f"{place.path}/secret", key=key),
        await service.api.post(f"{place.path}/test", {"type": "call:start"}, key=key),
    ]
    [status] = {answer.status_code for answer in answers}
    return status


@pytest.mark.parametrize(
    ("table", "ask"),
    [
        pytest.param(SENDING, sending, id="sending"),
        pytest.param(CREATING, creating, id="creating"),
        pytest.param(READING_THE_RECORD, reading_the_record, id="reading the record"),
        pytest.param(READING_THE_INTEGRATION, reading, id="reading the integration"),
        pytest.param(USING_THE_INTEGRATION, using, id="using the integration"),
    ],
)
async def test_each_key_may_do_what_the_pbxs_record_says(
    home: Home, table: Table, ask: Ask
) -> None:
    found: dict[str, list[int]] = {who: [] for who in table}
    for state in STATES:
        place = await a_place(home.service, state)
        keys = await keys_for(home.keys, place)
        for who in table:
            found[who].append(await ask(home.service, place, who, keys[who]))
    assert found == {who: list(statuses) for who, statuses in table.items()}


async def test_what_a_companys_key_may_not_send_is_not_stored(home: Home) -> None:
    place = await a_place(home.service, "nobody's")
    key = await home.keys.ingest(company=place.ours)
    foreign = an_event(pbx=place.pbx, company=place.ours, id="foreign")
    own = an_event(pbx=None, company=place.ours, id="own")
    answer = await home.service.api.post("/v1/events/batch", {"events": [foreign, own]}, key=key)
    refused, accepted = answer.json()["results"]
    assert (refused["status"], accepted["status"]) == ("invalid", "accepted")
    assert "/v1/pbxs/{pbx}" in refused["error"]["detail"]
    stored = (await home.service.read(f"/v1/events?company={place.ours}"))["items"]
    assert [each["subject"] for each in stored] == ["own"]


async def hang(exchange: Exchange) -> None:
    await exchange.until_closed()


async def test_a_pbx_that_moves_feeds_its_former_companys_integrations_no_more(
    home: Home,
) -> None:
    service = home.service
    async with receiving(hang) as dead, receiving() as well:
        place = await a_place(service, "own", url=f"http://127.0.0.1:{dead.port}/", maxInFlight=1)
        event = an_event(pbx=place.pbx, company=place.ours)
        waiting = [(await home.other.send(event | {"time": n}))["eventId"] for n in range(5)]
        await dead.until_asked(1, within=60)
        await put(service, place.pbx, place.theirs)
        for event_id in waiting:
            outcome = (await service.settled(event_id))[place.integration["id"]]
            assert (outcome["status"], outcome["reason"]) == ("skipped", "disabled")
        late = await home.other.send(event | {"time": 99})
        assert late["deliveries"] == 0
        [outcome] = (await service.outcomes(late["eventId"])).values()
        assert outcome["reason"] == "disabled"

        ours = await home.keys.manager(company=place.ours)
        theirs = await home.keys.manager(company=place.theirs)
        for key in (ours, theirs):
            [listed] = (await service.api.get("/v1/integrations", key=key)).json()["items"]
            assert listed["id"] == place.integration["id"]
            assert (listed["enabled"], listed["health"]["disabledReason"]) == (False, "moved")
            assert (await service.api.get(place.path, key=key)).json() == listed
        assert (await service.api.get("/v1/deliveries", key=theirs)).json()["items"] == []
        assert (await service.api.get(f"/v1/events/{waiting[0]}", key=theirs)).status_code == 404
        assert len((await service.api.get("/v1/deliveries", key=ours)).json()["items"]) == 5

        refused = await service.api.patch(place.path, {"enabled": True}, key=ours)
        assert refused.status_code == 409
        assert "moved" in refused.json()["detail"]
        elsewhere = {"transmission": {"url": f"http://127.0.0.1:{well.port}/"}}
        assert (await service.api.patch(place.path, elsewhere, key=ours)).status_code == 200

        await put(service, place.pbx, place.ours)
        back = (await service.api.get(place.path, key=ours)).json()
        assert (back["enabled"], back["health"]["disabledReason"]) == (True, None)
        assert (await service.api.get(place.path, key=theirs)).status_code == 404
        await home.other.send(event | {"time": 100})
        await well.until_asked(1, within=60)


async def test_an_administrator_hands_a_moved_integration_over(home: Home) -> None:
    api, place = home.service.api, await a_place(home.service, "moved away")
    ours = await home.keys.manager(company=place.ours)
    theirs = await home.keys.manager(company=place.theirs)
    before = (await api.get(place.path, key=theirs)).json()
    assert before["transmission"]["headers"] == {}, "they hold the former company's credentials"
    assert (await api.get(place.path, key=ours)).json()["transmission"]["headers"] == {"X-A": "b"}
    handed = (await api.patch(place.path, {"enabled": True})).json()
    assert (handed["enabled"], handed["company"]) == (True, place.theirs)
    assert (await api.get(f"{place.path}/secret", key=theirs)).status_code == 200
    assert (await api.get(place.path, key=ours)).status_code == 404


async def test_one_that_was_disabled_by_hand_is_not_enabled_by_moves(home: Home) -> None:
    service, place = home.service, await a_place(home.service, "own", enabled=False)
    ours = await home.keys.manager(company=place.ours)
    await put(service, place.pbx, place.theirs)
    refused = await service.api.patch(place.path, {"enabled": True}, key=ours)
    assert refused.status_code == 409
    await put(service, place.pbx, place.ours)
    found = await service.read(place.path)
    assert (found["enabled"], found["health"]["disabledReason"]) == (False, "manual")


async def test_a_deleted_record_vouches_for_nothing_in_every_process(home: Home) -> None:
    place = await a_place(home.service, "own")
    path = f"/v1/pbxs/{place.pbx}"
    ingest = await home.keys.ingest(company=place.ours)
    manager = await home.keys.manager(company=place.ours)
    of_pbx = an_event(pbx=place.pbx, company=place.ours)
    of_company = an_event(pbx=None, company=place.ours)

    async def fates(number: int) -> tuple[int, int, int]:
        sent = await home.other.api.post("/v1/events", of_pbx | {"time": number}, key=ingest)
        seen = await home.other.api.get(place.path, key=manager)
        by_company = await home.other.send(of_company | {"time": number})
        return sent.status_code, seen.status_code, by_company["deliveries"]

    assert await fates(1) == (202, 200, 1)
    assert (await home.service.api.delete(path)).status_code == 204
    assert await fates(2) == (403, 404, 0)
    assert (await home.other.send(of_pbx | {"time": 3}))["deliveries"] == 1, "its own events go on"
    assert (await home.service.api.get(path)).status_code == 404
    assert (await home.service.api.delete(path)).status_code == 404
    await put(home.service, place.pbx, place.ours)
    assert await fates(4) == (202, 200, 1)


async def test_a_record_is_changed_and_deleted_as_it_was_read(home: Home) -> None:
    api, path = home.service.api, f"/v1/pbxs/{next(_numbers)}"
    record = {"company": "it_first", "license": "x-bees"}
    assert (await api.put(path, record, headers={"If-Match": '"1"'})).status_code == 412
    existing, new = {"If-Match": "*"}, {"If-None-Match": "*"}
    assert (await api.put(path, record, headers=existing)).status_code == 412, "nothing to change"
    assert (await api.put(path, record, headers=new)).status_code == 200
    assert (await api.put(path, record, headers=new)).status_code == 412, "there is one already"
    assert (await api.put(path, record, headers=existing)).status_code == 200
    first, again = await api.put(path, record), await api.put(path, record)
    assert again.headers["etag"] == first.headers["etag"], "nothing was changed"
    assert again.json() == first.json()
    read = (await api.get(path)).headers["etag"]
    assert read == first.headers["etag"]
    second = await api.put(path, record | {"company": "it_next"}, headers={"If-Match": read})
    assert second.status_code == 200
    assert (await api.put(path, record, headers={"If-Match": read})).status_code == 412
    held = {"If-None-Match": second.headers["etag"]}
    assert (await api.put(path, record, headers=held)).status_code == 412
    assert (await api.delete(path, headers={"If-Match": read})).status_code == 412
    current = {"If-Match": second.headers["etag"]}
    assert (await api.delete(path, headers=current)).status_code == 204


async def test_records_are_listed_newest_first_and_searched(home: Home) -> None:
    mine, theirs = "it_Listed", "it_unlisted"
    for number in range(5):
        await put(home.service, f"L0{number}", mine if number % 2 else theirs)
    manager = await home.keys.manager(company=mine)
    of_one = await home.keys.manager(pbx="L02")

    async def listed(query: str, key: str = "") -> list[str]:
        page = (await home.service.api.get(f"/v1/pbxs{query}", key=key)).json()
        return [item["pbx"] for item in page["items"]]

    assert (await listed(""))[:5] == ["L04", "L03", "L02", "L01", "L00"]
    assert await listed("", manager) == ["L03", "L01"]
    assert await listed("", of_one) == ["L02"]
    assert await listed("?search=l03") == ["L03"]
    assert await listed("?search=UNLISTED&license=x-bees") == ["L04", "L02", "L00"]
    assert await listed("?search=%25") == []
    assert await listed(f"?company={mine}") == ["L03", "L01"]
    page = await home.service.read("/v1/pbxs?limit=2&search=L0")
    assert [item["pbx"] for item in page["items"]] == ["L04", "L03"]
    await put(home.service, "L05", mine)
    following = f"?limit=2&search=L0&cursor={page['next']}"
    assert await listed(following) == ["L02", "L01"]


@pytest.mark.parametrize("of", ["pbx", "company"])
async def test_a_pbx_has_so_many_integrations_and_a_company_without_a_pbx_too(
    home: Home, of: str
) -> None:
    place = Place(next(_numbers), {})
    document = a_webhook(pbx=place.pbx)
    if of == "company":
        del document["pbx"]
        document["company"] = place.ours
    apis = (home.service.api, home.other.api)
    answers = await asyncio.gather(
        *(apis[n % 2].post("/v1/integrations", document) for n in range(16))
    )
    made = [answer.json() for answer in answers if answer.status_code == 201]
    assert len(made) == 4
    refused = [answer for answer in answers if answer.status_code != 201]
    assert {answer.status_code for answer in refused} == {409}
    assert "4 integrations" in refused[0].json()["detail"]
    await a_place(home.service, "own")  # another's are counted apart
    assert (await apis[0].delete(f"/v1/integrations/{made[0]['id']}")).status_code == 204
    assert (await apis[1].post("/v1/integrations", document)).status_code == 201
    assert (await apis[1].post("/v1/integrations", document)).status_code == 409


async def test_moves_do_not_get_round_the_most_integrations(home: Home) -> None:
    service, place = home.service, await a_place(home.service, "own")
    document = a_webhook(pbx=place.pbx)
    for expected in (201, 201, 201, 409):
        assert (await service.api.post("/v1/integrations", document)).status_code == expected
    await put(service, place.pbx, place.theirs)
    for expected in (201, 201, 201, 201, 409):  # what another left takes no place of theirs
        assert (await service.api.post("/v1/integrations", document)).status_code == expected
    assert (await service.api.patch(place.path, {"enabled": True})).status_code == 409
    await put(service, place.pbx, place.ours)
    enabled = (await service.read(f"/v1/integrations?pbx={place.pbx}&enabled=true"))["items"]
    assert {each["company"] for each in enabled} == {place.ours}
    assert len(enabled) == 4
