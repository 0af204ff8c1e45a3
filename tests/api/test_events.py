import json
from collections.abc import AsyncIterator

import pytest

from factories import COMPANY, an_event, sample_events
from hookline.api.dependencies import Services
from support.api_client import Api, Keys
from support.event_history import a_pbx, an_integration, send

PATH = "/v1/events"


async def post(api: Api, raw: bytes, **headers: str) -> tuple[int, dict[str, object]]:
    answer = await api.request("POST", PATH, content=raw, headers=headers)
    return answer.status_code, answer.json()


async def test_the_same_event_again_is_answered_with_the_first_id(api: Api) -> None:
    pbx = a_pbx()
    await an_integration(api, pbx=pbx)
    first = await send(api, pbx=pbx)
    assert first == {"eventId": first["eventId"], "duplicate": False, "deliveries": 1}
    again = {"eventId": first["eventId"], "duplicate": True, "deliveries": 0}
    assert await send(api, pbx=pbx) == again
    other_order = dict(reversed(an_event(pbx=pbx).items()))
    assert (await api.post(PATH, other_order)).json() == again
    assert (await send(api, pbx=pbx, time=1))["eventId"] != first["eventId"]


async def test_every_real_event_is_accepted(api: Api) -> None:
    for document in sample_events():
        answer = await api.post(PATH, document)
        assert answer.status_code == 202, answer.text


async def test_the_content_type_is_not_insisted_on(api: Api) -> None:
    raw = json.dumps(an_event(id="untyped")).encode()
    assert (await post(api, raw))[0] == 202
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert (await post(api, raw, **{"Content-Type": kind}))[1]["duplicate"] is True


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"time": -1}, "time"),
        ({"time": "1721836787753"}, "time"),
        ({"time": True}, "time"),
        ({"time": 1.5}, "time"),
        ({"time": None}, "time"),
        ({"id": "x" * 500}, "id"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"id": "a\x00b"}, "id"),
        ({"id": "a\ud800b"}, "id"),
        ({"pbx": "\x00"}, "pbx"),
        ({"pbx": 1}, "pbx"),
        ({"company": None}, "company"),
        ({"company": ["it_w000001"]}, "company"),
        ({"type": "has a space"}, "type"),
        ({"type": None}, "type"),
        ({"data": None}, "data"),
        ({"data": []}, "data"),
        ({"data": "text"}, "data"),
        ({"integrationId": "s95eum"}, "integrationId"),
    ],
)
async def test_a_wrong_field_is_named(api: Api, changes: dict[str, object], path: str) -> None:
    status, problem = await post(api, json.dumps(an_event(**changes)).encode())
    assert status == 422
    assert problem["type"] == "/problems/invalid-input"
    assert [error["path"] for error in problem["errors"]] == [path]  # type: ignore[attr-defined]  # a JSON list


async def test_every_wrong_field_is_named_at_once(api: Api) -> None:
    status, problem = await post(api, b'{"id": 1, "time": "now"}')
    assert status == 422
    paths = [error["path"] for error in problem["errors"]]  # type: ignore[attr-defined]  # a JSON list
    assert paths == ["id", "company", "time", "type", "data"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"not json",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"id": NaN}',
        b"{}{}",
        b"\xef\xbb\xbf{}",
    ],
)
async def test_what_is_no_json_object_is_malformed(api: Api, raw: bytes) -> None:
    status, problem = await post(api, raw)
    assert status == 400
    assert problem["type"] == "/problems/malformed-body"


async def test_nul_and_lone_surrogates_in_the_content_are_kept(api: Api) -> None:
    data = {"nul": "a\x00b", "alone": "\ud83d", "pair": "\U0001f600"}
    receipt = await send(api, data=data, id="odd strings")
    record = await api.get(f"{PATH}/{receipt['eventId']}")
    assert json.loads(record.text)["event"]["data"] == data
    assert '{"nul":"a\\u0000b","alone":"\\ud83d","pair":"\U0001f600"}' in record.text


async def test_ten_thousand_nested_arrays_are_refused(api: Api) -> None:
    nested = b"[" * 10_000 + b"]" * 10_000
    raw = json.dumps(an_event(data={"x": 0})).encode().replace(b"0}", nested + b"}")
    status, problem = await post(api, raw)
    assert status == 413
    assert "64 deep" in str(problem["detail"])


async def test_a_declared_length_over_the_limit_is_refused_unread(
    api: Api, services: Services
) -> None:
    read: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"{"

    length = str(services.limits.event_bytes + 1)
    answer = await api.request("POST", PATH, content=body(), headers={"Content-Length": length})
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert answer.json()["type"] == "/problems/too-large"


async def test_an_undeclared_length_is_refused_before_it_is_read_whole(
    api: Api, services: Services
) -> None:
    chunk = b" " * 65_536
    most = services.limits.event_bytes // len(chunk) + 1
    taken = 0

    async def received() -> dict[str, object]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": chunk, "more_body": True}

    started: list[dict[str, object]] = []

    async def send_back(message: dict[str, object]) -> None:
        started.append(message)

    key = api.client.headers.get("authorization") or f"Bearer {api._key}"
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(b"authorization", key.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    application = api.client._transport.app  # type: ignore[attr-defined]  # ASGITransport has it
    await application(scope, received, send_back)
    assert started[0]["status"] == 413
    assert taken <= most


async def test_an_event_over_the_limit_is_refused_though_it_says_nothing_of_its_length(
    api: Api, services: Services
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield json.dumps(an_event(data={"x": "y" * services.limits.event_bytes})).encode()

    answer = await api.request("POST", PATH, content=body())
    assert answer.status_code == 413


async def test_an_unknown_type_is_accepted_and_nobody_gets_it(api: Api) -> None:
    pbx = a_pbx()
    integration = await an_integration(api, pbx=pbx)
    receipt = await send(api, pbx=pbx, type="fax:received")
    assert receipt["deliveries"] == 0
    record = (await api.get(f"{PATH}/{receipt['eventId']}")).json()
    assert record["outcomes"] == [
        {
            "integrationId": integration,
            "status": "skipped",
            "reason": "unknown_type",
            "deliveryId": None,
            "detail": None,
        }
    ]


async def test_an_event_without_a_pbx_goes_to_the_company(api: Api, keys: Keys) -> None:
    company = a_pbx()
    await an_integration(api, pbx=None, company=company, events={"chat": "all"})
    key = await keys.ingest()
    receipt = await send(api, key=key, pbx=None, company=company, type="chat:message:new")
    assert receipt["deliveries"] == 1
    assert (await send(api, key=key, pbx=None, company=COMPANY, type="chat:message:new"))[
        "deliveries"
    ] == 0


@pytest.mark.parametrize("name", ["integration:paused", "delivery:exhausted", "integration:new"])
async def test_nobody_may_send_what_hookline_announces_itself(api: Api, name: str) -> None:
    answer = await api.post(PATH, an_event(type=name))
    assert answer.status_code == 422
    [problem] = answer.json()["errors"]
    assert problem["path"] == "type"
    assert "reserved" in problem["message"]
