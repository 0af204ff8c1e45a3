import json

import pytest

from factories import an_event, sample_events
from hookline.api.dependencies import Services
from support.api_client import Api, Keys
from support.event_history import a_pbx, an_integration

PATH = "/v1/events/batch"


async def test_one_bad_item_spoils_no_other(api: Api) -> None:
    pbx = a_pbx()
    await an_integration(api, pbx=pbx)
    bad = [an_event(time=-1), "text", an_event(id="x" * 500), {"nested": 1}]
    events = [an_event(pbx=pbx), *bad, an_event(pbx=pbx, time=2), an_event(pbx=pbx)]
    answer = await api.post(PATH, {"events": events})
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [each["status"] for each in results] == [
        "accepted",
        *["invalid"] * 4,
        "accepted",
        "duplicate",
    ]
    assert results[6]["eventId"] == results[0]["eventId"] != results[5]["eventId"]
    assert results[1] == {
        "status": "invalid",
        "error": {
            "type": "/problems/invalid-input",
            "title": "Some fields are wrong",
            "detail": results[1]["error"]["detail"],
            "errors": [{"path": "time", "message": results[1]["error"]["errors"][0]["message"]}],
        },
    }
    assert results[2]["error"]["type"] == "/problems/malformed-body"
    for each in (results[0], results[5]):
        record = (await api.get(f"/v1/events/{each['eventId']}")).json()
        assert len(record["outcomes"]) == 1


async def test_items_that_are_no_json_or_nest_too_deep_spoil_no_other(api: Api) -> None:
    good = json.dumps(an_event(id="among bad ones")).encode()
    deep = json.dumps(an_event(data={"x": 0})).encode().replace(b"0}", b"[" * 9_999 + b"]" * 9_999)
    raw = b'{"events": [' + b",".join((b"{nonsense}", good, deep + b"}", good)) + b"]}"
    answer = await api.request("POST", PATH, content=raw)
    statuses = [each["status"] for each in answer.json()["results"]]
    assert statuses == ["invalid", "accepted", "invalid", "duplicate"]


async def test_every_real_event_is_accepted_in_one_batch(api: Api) -> None:
    documents = sample_events()
    answer = await api.post(PATH, {"events": documents})
    assert [each["status"] for each in answer.json()["results"]] == ["accepted"] * len(documents)


async def test_a_thousand_events_are_taken_and_one_more_is_too_many(api: Api) -> None:
    events = [an_event(id=f"many {n}", data={"text": "x" * 300}) for n in range(1001)]
    answer = await api.post(PATH, {"events": events[:1000]})
    results = answer.json()["results"]
    assert len({each["eventId"] for each in results}) == 1000
    assert {each["status"] for each in results} == {"accepted"}
    assert (await api.post(PATH, {"events": events})).status_code == 413


async def test_a_batch_over_its_limit_is_refused_unread(api: Api, services: Services) -> None:
    length = str(services.limits.batch_bytes + 1)
    answer = await api.request("POST", PATH, content=b"{", headers={"Content-Length": length})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"events": [', 400),
        (b"{}", 422),
        (b'{"events": {}}', 422),
        (b'{"events": null}', 422),
    ],
)
async def test_what_is_no_batch_is_refused_as_a_whole(api: Api, raw: bytes, status: int) -> None:
    answer = await api.request("POST", PATH, content=raw)
    assert answer.status_code == status, answer.text


async def test_an_empty_batch_is_taken(api: Api) -> None:
    answer = await api.post(PATH, {"events": []})
    assert (answer.status_code, answer.json()) == (202, {"results": []})


async def test_anothers_events_are_invalid_and_nothing_of_them_is_stored(
    api: Api, keys: Keys
) -> None:
    own, other = a_pbx(), a_pbx()
    key = await keys.ingest(pbx=own)
    events = [an_event(pbx=own), an_event(pbx=other), an_event(pbx=None, time=2)]
    answer = await api.post(PATH, {"events": events}, key=key)
    results = answer.json()["results"]
    assert [each["status"] for each in results] == ["accepted", "invalid", "accepted"]
    assert results[1]["error"]["type"] == "/problems/forbidden"
    assert (await api.get(f"/v1/events?pbx={other}")).json()["items"] == []
    assert len((await api.get(f"/v1/events?pbx={own}")).json()["items"]) == 2


async def test_a_reserved_name_spoils_no_other_item(api: Api) -> None:
    events = [an_event(type="integration:disabled"), an_event(id="beside a reserved one")]
    answer = await api.post(PATH, {"events": events})
    refused, accepted = answer.json()["results"]
    assert (refused["status"], refused["error"]["errors"][0]["path"]) == ("invalid", "type")
    assert accepted["status"] == "accepted"
