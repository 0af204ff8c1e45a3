from collections.abc import AsyncIterator
from secrets import token_hex

import httpx
import pytest

from factories import Json, an_event
from hookline.api.dependencies import Services
from hookline.integrations import event_types
from support.api_client import Api, Keys
from support.event_history import a_pbx, an_integration, send

ALL = "/v1/event-types"


def a_type(name: str, **changes: object) -> Json:
    told = {"group": "call", "title": "Call parked", "example": an_event(type=name)}
    return told | changes


@pytest.fixture
async def name(api: Api) -> AsyncIterator[str]:
    """A name of an event type that only this test knows, and that is deleted afterwards."""
    made = f"park:{token_hex(4)}"
    yield made
    for integration in (await api.get("/v1/integrations?limit=200")).json()["items"]:
        if made in str(integration["events"]):
            await api.delete(f"/v1/integrations/{integration['id']}")
    await api.delete(f"{ALL}/{made}")


async def put(api: Api, name: str, **changes: object) -> httpx.Response:
    return await api.put(f"{ALL}/{name}", a_type(name, **changes))


async def types_of(api: Api, group: str) -> dict[str, Json]:
    groups = (await api.get(ALL)).json()["groups"]
    [types] = [each["types"] for each in groups if each["name"] == group]
    return {each["name"]: each for each in types}


async def outcome(api: Api, event: Json) -> tuple[str, str | None]:
    read = (await api.get(f"/v1/events/{event['eventId']}")).json()
    [only] = read["outcomes"]
    return only["status"], only["reason"]


async def test_a_type_is_added_changed_and_deleted(api: Api, name: str) -> None:
    added = await put(api, name)
    assert added.status_code == 200, added.text
    told = added.json()
    assert (told["name"], told["group"], told["builtIn"]) == (name, "call", False)
    assert (told["format"], told["licensed"], told["description"]) == ("json", False, "")
    listed = (await types_of(api, "call"))[name]
    assert listed == {key: told[key] for key in listed}
    assert listed["example"] == an_event(type=name)
    assert list(await types_of(api, "call"))[-1] == name  # behind the built-in ones
    assert (await api.put(f"{ALL}/{name}", listed)).json() == told  # as it is listed

    assert (await put(api, name, title="Parked", format="text")).status_code == 200
    changed = (await types_of(api, "call"))[name]
    assert (changed["title"], changed["format"]) == ("Parked", "text")

    assert (await api.delete(f"{ALL}/{name}")).status_code == 204
    assert name not in await types_of(api, "call")
    assert (await api.delete(f"{ALL}/{name}")).status_code == 404


async def test_whoever_chose_the_group_gets_the_type_from_the_next_event_on(
    api: Api, name: str
) -> None:
    pbx = a_pbx()
    await an_integration(api, pbx=pbx, events={"call": "all"})
    before = await send(api, pbx=pbx, type=name, id="1")
    assert (await put(api, name)).status_code == 200
    after = await send(api, pbx=pbx, type=name, id="2")
    await api.delete(f"{ALL}/{name}")
    last = await send(api, pbx=pbx, type=name, id="3")

    assert await outcome(api, before) == ("skipped", "unknown_type")
    assert await outcome(api, after) == ("pending", None)
    assert await outcome(api, last) == ("skipped", "unknown_type")


async def test_a_type_can_be_chosen_by_name_and_then_not_be_deleted(api: Api, name: str) -> None:
    pbx, chosen = a_pbx(), {"call": [name]}
    transmission = {"type": "WEBHOOK", "url": "https://crm.example.com/hook"}
    new = {"pbx": pbx, "transmission": transmission, "events": chosen}
    assert (await api.post("/v1/integrations", new)).status_code == 422
    await put(api, name)
    integration = await an_integration(api, pbx=pbx, events=chosen)
    sent = await send(api, pbx=pbx, type=name)
    assert await outcome(api, sent) == ("pending", None)

    refused = await api.delete(f"{ALL}/{name}")
    assert refused.status_code == 409
    assert "1 integration chose" in refused.json()["detail"]
    await api.delete(f"/v1/integrations/{integration}")
    assert (await api.delete(f"{ALL}/{name}")).status_code == 204


async def test_the_licence_rule_covers_a_type_that_says_so(api: Api, name: str) -> None:
    pbx, company = a_pbx(), f"it_{a_pbx()}"
    described = {"company": company, "license": "collaboration", "presenceEvents": False}
    await api.put(f"/v1/pbxs/{pbx}", described)
    await an_integration(api, pbx=pbx, events={"presence": "all"})
    await put(api, name, group="presence", licensed=True)
    assert await outcome(api, await send(api, pbx=pbx, type=name)) == ("skipped", "licence")


async def test_what_is_built_in_or_hooklines_own_is_not_changed(api: Api, name: str) -> None:
    for built_in in ("call:completed", "integration:paused"):
        assert (await put(api, built_in)).status_code == 409
        assert (await api.delete(f"{ALL}/{built_in}")).status_code == 409
    assert (await put(api, "integration:mine")).status_code == 409
    assert (await put(api, name, group="service")).status_code == 409


async def test_a_type_stays_in_its_group(api: Api, name: str) -> None:
    await put(api, name)
    moved = await put(api, name, group="chat")
    assert moved.status_code == 409
    assert "of the group call" in moved.json()["detail"]


async def test_there_is_a_bound_on_types(
    api: Api, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_types, "MOST_TYPES", 0)
    refused = await put(api, name)
    assert refused.status_code == 409
    assert "as many as there may be" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "path", "told"),
    [
        ({"group": "calls"}, "group", "allowed: call, conference"),
        ({"title": ""}, "title", "1 or more"),
        ({"format": "xml"}, "format", "json or text"),
        ({"example": an_event(type="another:type")}, "example.type", "the type that is added"),
        ({"example": {"id": "1"}}, "example.company", "Send a string"),
        ({"example": "text"}, "example", "JSON object"),
        ({"example": an_event(data={"long": "x" * 70_000})}, "example", "at most 65536 bytes"),
        ({"schema": {}}, "schema", "no such field"),
    ],
)
async def test_a_type_that_makes_no_sense_is_refused(
    api: Api, name: str, changes: Json, path: str, told: str
) -> None:
    answer = await put(api, name, **changes)
    assert answer.status_code == 422
    errors = {each["path"]: each["message"] for each in answer.json()["errors"]}
    assert told in errors[path]
    assert name not in str(await types_of(api, "call"))


async def test_a_name_has_a_form(api: Api) -> None:
    for wrong in ("%20x", "a%00b", "ü", "x" * 129, ":x"):
        assert (await put(api, wrong)).status_code == 422, wrong


async def test_names_that_are_in_no_catalogue_are_listed_with_counts(
    api: Api, keys: Keys, services: Services, name: str
) -> None:
    placed = f"call:live:{token_hex(4)}"
    services.unknown_types.saw([name, placed, name, "call:completed"])

    listed = (await api.get(f"{ALL}?unknown=true")).json()["unknown"]

    counts = {each["name"]: (each["count"], each["group"]) for each in listed}
    assert counts[name] == (2, None)
    assert counts[placed] == (1, "call")
    assert "call:completed" not in counts
    assert "unknown" not in (await api.get(ALL)).json()
    for key in (await keys.manager(pbx=a_pbx()), await keys.ingest()):
        assert (await api.get(f"{ALL}?unknown=true", key=key)).status_code == 403

    await put(api, name)
    listed = (await api.get(f"{ALL}?unknown=true")).json()["unknown"]
    assert name not in {each["name"] for each in listed}
