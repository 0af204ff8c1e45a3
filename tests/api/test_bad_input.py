import json
from collections.abc import AsyncIterator

import pytest

from factories import ACCESS_KEY_ID, Json, a_queue, a_webhook
from support.api_client import Api

PATH = "/v1/integrations"
JSON = {"Content-Type": "application/json"}
MARK = "marked-value-that-must-not-come-back"


async def refused(api: Api, document: object) -> list[str]:
    """Return the paths that the answer names."""
    answer = await api.post(PATH, document)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/invalid-input"
    assert problem["status"] == 422
    return [error["path"] for error in problem["errors"]]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"url": "https://user:pw@crm.example.com/"}, "transmission.url"),
        ({"url": "https://crm.example.com/#here"}, "transmission.url"),
        ({"url": "ftp://crm.example.com/"}, "transmission.url"),
        ({"url": "http://crm.example.com/"}, "transmission.url"),
        ({"url": "https:///hook"}, "transmission.url"),
        ({"url": "crm.example.com"}, "transmission.url"),
        ({"url": ""}, "transmission.url"),
        ({"url": "https://crm.example.com/" + "x" * 2976}, "transmission.url"),
        ({"url": "https://crm.example.com/\x00"}, "transmission.url"),
        ({"url": "https://169.254.169.254/latest"}, "transmission.url"),
        ({"url": "https://inside.example.com/"}, "transmission.url"),
        ({"url": 7}, "transmission.url"),
        ({"headers": {"Host": "other"}}, "transmission.headers.Host"),
        ({"headers": {"webhook-id": "1"}}, "transmission.headers.webhook-id"),
        ({"headers": {"X_Signature": "1"}}, "transmission.headers.X_Signature"),
        ({"headers": {"content_length": "1"}}, "transmission.headers.content_length"),
        ({"headers": {"Webhook.Id": "1"}}, "transmission.headers.Webhook.Id"),
        ({"headers": {"Proxy": "http://a.example"}}, "transmission.headers.Proxy"),  # "httpoxy"
        ({"headers": {"x-signature ": "1"}}, "transmission.headers.x-signature "),
        ({"headers": {"X-A": "1", "X_A": "2"}}, "transmission.headers.X_A"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "transmission.headers.X-A"),
        ({"headers": {"X A": "1"}}, "transmission.headers.X A"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "transmission.headers.x-a"),
        ({"headers": {"X-A": 1}}, "transmission.headers.X-A"),
        ({"headers": {f"X-{n}": "1" for n in range(21)}}, "transmission.headers"),
        ({"headers": {f"X-{n}": "1" * 4000 for n in range(2)}}, "transmission.headers"),
        ({"headers": "X-A: 1"}, "transmission.headers"),
        ({"events": {}}, "events"),
        ({"events": "all"}, "events"),
        ({"events": {"calls": "all"}}, "events.calls"),
        ({"events": {"call": []}}, "events.call"),
        ({"events": {"call": "some"}}, "events.call"),
        ({"events": {"call": ["call:completed"]}}, "events.call[0]"),
        ({"events": {"call": ["call:live:progress", 7]}}, "events.call[1]"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": ["CRM"]}, "name"),
        ({"pbx": "0\x00"}, "pbx"),
        ({"pbx": "x" * 65}, "pbx"),
        ({"company": ""}, "company"),
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": 1}, "enabled"),
        ({"filter": {"direction": "inbound"}}, "filter.direction"),
        ({"maxInFlight": 0}, "maxInFlight"),
        ({"maxInFlight": "16"}, "maxInFlight"),
        ({"maxInFlight": 10**30}, "maxInFlight"),
        ({"id": "s95eum"}, "id"),
        ({"transmission": None}, "transmission"),
        ({"transmission": {}}, "transmission.type"),
        ({"transmission": {"type": "EMAIL"}}, "transmission.type"),
        ({"transmission": {"type": "WEBHOOK"}}, "transmission.url"),
    ],
)
async def test_a_wrong_field_is_named(api: Api, changes: Json, path: str) -> None:
    assert await refused(api, a_webhook(**changes)) == [path]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"url": "https://sqs.eu-central-1.evil.example/123456789012/q"}, "transmission.url"),
        ({"url": "https://169.254.169.254/123456789012/q"}, "transmission.url"),
        ({"accessKeyId": "short"}, "transmission.accessKeyId"),
        ({"accessKeyId": "AKIA/OSFODNN7EXAMPLE"}, "transmission.accessKeyId"),
        ({"secretAccessKey": ""}, "transmission.secretAccessKey"),
        ({"secretAccessKey": None}, "transmission.secretAccessKey"),
        ({"secretAccessKey": "pasted with a blank "}, "transmission.secretAccessKey"),
        ({"secretAccessKey": "pasted\u00a0"}, "transmission.secretAccessKey"),
        ({"headers": {"X-A": "1"}}, "transmission.headers"),
        ({"secret": "x" * 32}, "transmission.secret"),
    ],
)
async def test_a_wrong_field_of_a_queue_is_named(api: Api, changes: Json, path: str) -> None:
    document = a_queue()
    document["transmission"] |= changes
    assert await refused(api, document) == [path]


async def test_every_wrong_field_is_named_at_once(api: Api) -> None:
    shapes = a_webhook(name="", maxInFlight=0, unknown=1, headers=[])
    assert sorted(await refused(api, shapes)) == [
        "maxInFlight",
        "name",
        "transmission.headers",
        "unknown",
    ]
    meanings = a_webhook(
        url="https://127.1/", headers={"Host": "x"}, events={"calls": "all", "chat": ["x"]}
    )
    assert sorted(await refused(api, meanings)) == [
        "events.calls",
        "events.chat[0]",
        "transmission.headers.Host",
        "transmission.url",
    ]


async def test_no_value_comes_back(api: Api) -> None:
    document = a_queue(name=7, unknown=MARK)
    document["transmission"] |= {
        "accessKeyId": f"{ACCESS_KEY_ID}!{MARK}",
        "secretAccessKey": [MARK],
    }
    answer = await api.post(PATH, document)
    assert answer.status_code == 422
    assert MARK not in answer.text


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": "\ud800"}, "name"),
        ({"pbx": "\udfff"}, "pbx"),
        ({"url": "https://crm.example.com/\ud800"}, "transmission.url"),
        ({"headers": {"X-A": "\ud800"}}, "transmission.headers.X-A"),
        ({"events": {"call": ["\ud800"]}}, "events.call[0]"),
    ],
)
async def test_a_lone_surrogate_is_refused(api: Api, changes: Json, path: str) -> None:
    assert await refused(api, a_webhook(**changes)) == [path]


async def test_a_lone_surrogate_as_a_name_is_refused(api: Api) -> None:
    text = json.dumps(a_webhook(events={"\ud800": "all"}) | {"\udfff": 1})
    answer = await api.request("POST", PATH, content=text, headers=JSON)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'name': 1}",
        b'{"name": NaN}',
        b"[]",
        b'"text"',
        b"null",
        b'{"name": "\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"a": 1} {}',
    ],
)
async def test_a_malformed_body_is_refused(api: Api, body: bytes) -> None:
    answer = await api.request("POST", PATH, content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/malformed-body"
    assert answer.json()["detail"]


async def test_no_body_is_a_missing_body(api: Api) -> None:
    answer = await api.request("POST", PATH, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "body"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application"])
async def test_another_type_of_body_is_refused(api: Api, kind: str) -> None:
    answer = await api.request("POST", PATH, content=b"{}", headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
async def test_ten_thousand_nested_levels_are_refused(api: Api, bracket: bytes) -> None:
    body = b'{"name": ' + bracket * 10_000
    answer = await api.request("POST", PATH, content=body, headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/too-large"


async def test_a_body_over_the_limit_is_refused_before_it_is_read_whole(api: Api) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 65_536
            yield b" " * 65_536

    answer = await api.request("POST", PATH, content=endless(), headers=JSON)
    assert answer.status_code == 413
    assert "1,048,576" in answer.json()["detail"]
    declared = await api.request(
        "POST", PATH, content=b"{}", headers=JSON | {"Content-Length": "9" * 30}
    )
    assert declared.status_code == 413


async def test_a_body_is_not_even_read_for_a_client_without_a_key(api: Api) -> None:
    answer = await api.request("POST", PATH, content=b"{", headers=JSON, key=None)
    assert answer.status_code == 401
    wrong = await api.request("POST", PATH, content=b"{", headers=JSON, key="hk_" + "x" * 43)
    assert wrong.status_code == 401


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("type=EMAIL", "type"),
        ("enabled=perhaps", "enabled"),
        ("pbx=%00", "pbx"),
        ("company=" + "x" * 65, "company"),
        ("cursor=nonsense", "cursor"),
        ("cursor=" + "x" * 101, "cursor"),
    ],
)
async def test_a_wrong_parameter_is_named(api: Api, query: str, path: str) -> None:
    answer = await api.get(f"{PATH}?{query}")
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [path]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"company": "", "license": "x-bees"}, "company"),
        ({"license": "x-bees"}, "company"),
        ({"company": "it_w000001", "license": "gold"}, "license"),
        ({"company": "it_w000001", "license": "x-bees", "presenceEvents": 1}, "presenceEvents"),
        ({"company": "it_w000001", "license": "x-bees", "pbx": "1"}, "pbx"),
    ],
)
async def test_a_wrong_field_of_a_pbx_is_named(api: Api, document: Json, path: str) -> None:
    answer = await api.put("/v1/pbxs/000000000001", document)
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [path]


@pytest.mark.parametrize("pbx", ["%00", "x" * 65, "a%0Ab"])
async def test_a_malformed_pbx_is_refused(api: Api, pbx: str) -> None:
    document = {"company": "it_w000001", "license": "x-bees", "presenceEvents": False}
    for answer in (await api.put(f"/v1/pbxs/{pbx}", document), await api.get(f"/v1/pbxs/{pbx}")):
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["path"] == "pbx"
