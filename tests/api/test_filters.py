"""Trying a filter: on examples, on events that are sent along, on an integration's last ones."""

import json

import pytest

from factories import Json, a_webhook, an_event
from support.api_client import Api
from support.event_history import a_pbx

INBOUND = {"data": {"direction": ["INBOUND"]}}


async def tried(api: Api, **trial: object) -> Json:
    answer = await api.post("/v1/filters/try", trial)
    assert answer.status_code == 200, answer.text
    result: Json = answer.json()
    assert result["passing"] == sum(each["passes"] for each in result["items"])
    return result


async def test_each_event_passes_or_names_the_path_that_says_no(api: Api) -> None:
    events = [
        an_event(data={"direction": "INBOUND", "text": "x"}),
        an_event(data={"direction": "OUTBOUND"}),
        an_event(data={}),
    ]
    result = await tried(api, filter=INBOUND, omit=["data.text"], events=events)
    assert [each["refusedBy"] for each in result["items"]] == [
        None,
        "data.direction",
        "data.direction",
    ]
    first = result["items"][0]
    assert json.loads(first["body"])["data"] == {"direction": "INBOUND"}
    assert first["bytes"] == len(first["body"].encode())
    assert first["eventId"] is None


async def test_without_events_the_catalogues_examples_are_tried(api: Api) -> None:
    groups = (await api.get("/v1/event-types")).json()["groups"]
    result = await tried(api, filter=None)
    assert result["passing"] == len(result["items"]) == sum(len(each["types"]) for each in groups)


async def test_an_integrations_last_events_are_those_that_it_chose(api: Api) -> None:
    pbx = a_pbx()
    made = (await api.post("/v1/integrations", a_webhook(pbx=pbx, events={"call": "all"}))).json()
    sent = [an_event(pbx=pbx, type=name) for name in ("call:start", "call:completed", "call:end")]
    ids = [(await api.post("/v1/events", each)).json()["eventId"] for each in sent]
    result = await tried(api, filter={"type": ["call:end"]}, integrationId=made["id"])
    assert [(each["eventId"], each["passes"]) for each in result["items"]] == [
        (ids[2], True),
        (ids[0], False),
    ]
    assert json.loads(result["items"][0]["body"])["integrationId"] == made["id"]


async def test_events_nest_as_deep_as_senders_may_nest_them(api: Api) -> None:
    def nested(levels: int) -> Json:
        value: object = "x"
        for _ in range(levels):
            value = {"a": value}
        return an_event(data=value)

    deepest = await tried(api, filter=None, events=[nested(63)])
    assert deepest["passing"] == 1
    answer = await api.post("/v1/filters/try", {"filter": None, "events": [nested(64)]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "events[0]"


async def test_a_trial_warns_of_paths_that_no_example_has(api: Api) -> None:
    flows = {"data": {"flows": {"direction": ["INBOUND"]}}}
    result = await tried(api, filter=INBOUND, omit=["data.flows.*.caller.phone", "data.nowhere"])
    assert [each["path"] for each in result["warnings"]] == ["filter.data.direction", "omit[1]"]
    assert "data.direction; did you mean data.flows.direction?" in result["warnings"][0]["message"]
    assert (await tried(api, filter=flows))["warnings"] == []
    chat = await api.post("/v1/integrations", a_webhook(pbx=a_pbx(), events={"chat": "all"}))
    of_chat = await tried(api, filter=flows, integrationId=chat.json()["id"])
    assert [each["path"] for each in of_chat["warnings"]] == ["filter.data.flows.direction"]


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"filter": {"data": []}}, "filter.data"),
        ({"filter": None, "omit": ["id"]}, "omit[0]"),
        ({"filter": None, "events": [an_event(), an_event(time="now")]}, "events[1].time"),
        ({"filter": None, "events": [7]}, "events[0]"),
        ({"filter": None, "events": []}, "events"),
        ({"filter": None, "events": [an_event()] * 101}, "events"),
        ({"filter": None, "events": [an_event()], "integrationId": "abcdef"}, "integrationId"),
        ({}, "filter"),
    ],
)
async def test_what_is_wrong_with_a_trial_is_named(api: Api, wrong: Json, path: str) -> None:
    answer = await api.post("/v1/filters/try", wrong)
    assert answer.status_code == 422, answer.text
    assert [each["path"] for each in answer.json()["errors"]] == [path]


async def test_another_ones_integration_does_not_exist(api: Api) -> None:
    answer = await api.post("/v1/filters/try", {"filter": None, "integrationId": "zzzzzz"})
    assert answer.status_code == 404
