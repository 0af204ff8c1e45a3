import re

import pytest

from factories import ACCESS_KEY_ID, COMPANY, PBX, SECRET_ACCESS_KEY, Json, a_queue, a_webhook
from support.api_client import Api, Keys
from support.fakes import FakeTester

HEALTHY = {
    "state": "healthy",
    "failingSince": None,
    "lastError": None,
    "lastErrorAt": None,
    "nextProbeAt": None,
    "disabledReason": None,
    "disabledBy": None,
    "disabledAt": None,
}
ALL = "/v1/integrations"
SWITCHED_OFF = {"state": "disabled", "disabledReason": "manual"}


async def make(api: Api, document: Json | None = None, **rest: object) -> Json:
    answer = await api.post("/v1/integrations", document or a_webhook(), **rest)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def test_a_created_webhook_is_shown_whole_with_its_secret_once(api: Api) -> None:
    answer = await api.post(
        "/v1/integrations", a_webhook(company=COMPANY, headers={"X-Tenant": "7"}, maxInFlight=4)
    )
    assert answer.status_code == 201
    made = answer.json()
    assert re.fullmatch("[a-z0-9]{6}", made["id"])
    assert re.fullmatch("[A-Za-z0-9]{32}", made["transmission"]["secret"])
    assert answer.headers["location"] == f"/v1/integrations/{made['id']}"
    read = await api.get(answer.headers["location"])
    assert read.headers["etag"] == answer.headers["etag"]
    del made["transmission"]["secret"]
    assert read.json() == made
    assert made == {
        "id": made["id"],
        "pbx": PBX,
        "company": COMPANY,
        "name": "CRM",
        "enabled": True,
        "transmission": {
            "type": "WEBHOOK",
            "url": "https://crm.example.com/",
            "headers": {"X-Tenant": "7"},
        },
        "events": {"call": "all", "analytics": ["call:completed"]},
        "filter": None,
        "omit": [],
        "delivery": {},
        "ordering": "none",
        "maxInFlight": 4,
        "rateLimit": None,
        "health": HEALTHY,
        "version": 1,
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
    }


async def test_a_queue_shows_the_last_four_of_its_key_and_never_its_secret(api: Api) -> None:
    created = await api.post("/v1/integrations", a_queue())
    made = created.json()
    path = f"/v1/integrations/{made['id']}"
    pair = {"accessKeyId": "AKIAANOTHERKEY001234", "secretAccessKey": "another-secret-access-key"}
    changed = await api.patch(path, {"transmission": pair})
    assert made["transmission"]["accessKeyId"] == ACCESS_KEY_ID[-4:]
    assert changed.json()["transmission"]["accessKeyId"] == "1234"
    for answer in (created, changed, await api.get(path), await api.get("/v1/integrations")):
        assert answer.is_success
        assert SECRET_ACCESS_KEY not in answer.text
        assert ACCESS_KEY_ID not in answer.text
        assert "another-secret" not in answer.text


async def test_how_many_are_in_flight_adapts_unless_a_number_is_given(api: Api) -> None:
    made = await make(api, a_webhook())
    path = f"/v1/integrations/{made['id']}"
    shown = [made["maxInFlight"]]
    for most in (1000, None, 1):
        await api.patch(path, {"maxInFlight": most})
        shown.append((await api.get(path)).json()["maxInFlight"])
    assert shown == [None, 1000, None, 1]
    given = await make(api, a_webhook(maxInFlight=None))
    assert given["maxInFlight"] is None


async def test_a_patch_changes_what_it_names_and_nothing_else(api: Api) -> None:
    made = await make(api, a_webhook(headers={"X-Tenant": "7", "X-Old": "1"}))
    path = f"/v1/integrations/{made['id']}"
    patch = {
        "name": "CRM 2",
        "maxInFlight": 2,
        "events": {"analytics": None, "chat": "all"},
        "transmission": {
            "url": "https://other.example.com/x",
            "headers": {"x-tenant": "8", "X-Old": None},
        },
    }
    changed = (await api.patch(path, patch)).json()
    assert changed["name"] == "CRM 2"
    assert changed["maxInFlight"] == 2
    assert changed["events"] == {"call": "all", "chat": "all"}
    assert changed["transmission"] == {
        "type": "WEBHOOK",
        "url": "https://other.example.com/x",
        "headers": {"x-tenant": "8"},
    }
    assert {name: changed[name] for name in ("pbx", "enabled", "createdAt")} == {
        name: made[name] for name in ("pbx", "enabled", "createdAt")
    }
    cleared = await api.patch(path, {"transmission": {"headers": None}})
    assert cleared.json()["transmission"]["headers"] == {}
    assert (await api.get(path)).json() == cleared.json()


async def test_a_plain_json_body_patches_too(api: Api) -> None:
    path = f"/v1/integrations/{(await make(api))['id']}"
    answer = await api.request("PATCH", path, json={"name": "Plain"})
    assert (answer.status_code, answer.json()["name"]) == (200, "Plain")


async def test_switching_off_says_manual_and_switching_on_clears_it(api: Api) -> None:
    path = f"/v1/integrations/{(await make(api))['id']}"
    off = (await api.patch(path, {"enabled": False})).json()
    by, at = off["health"].pop("disabledBy"), off["health"].pop("disabledAt")
    assert off["health"].items() <= (HEALTHY | SWITCHED_OFF).items()
    assert by.startswith("key "), "the key has no name, so its id says who it was"
    assert off["createdAt"] < at
    on = (await api.patch(path, {"enabled": True})).json()
    assert on["health"] == HEALTHY


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        ({"transmission": {"type": "AWS_SQS"}}, "transmission.type"),
        ({"transmission": {"secret": "x" * 32}}, "transmission.secret"),
        ({"transmission": {"accessKeyId": ACCESS_KEY_ID}}, "transmission.accessKeyId"),
        ({"transmission": {"url": None}}, "transmission.url"),
        ({"transmission": None}, "transmission"),
        ({"id": "abcdef"}, "id"),
        ({"pbx": "000000000002"}, "pbx"),
        ({"company": "it_w000002"}, "company"),
        ({"health": {"state": "healthy"}}, "health"),
        ({"rateLimit": 0}, "rateLimit"),
        ({"rateLimit": 1000.5}, "rateLimit"),
        ({"rateLimit": "5"}, "rateLimit"),
        ({"name": ""}, "name"),
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": None}, "enabled"),
        ({"filter": {"direction": "inbound"}}, "filter.direction"),
        ({"events": None}, "events"),
        ({"events": []}, "events"),
        ({"events": {"call": None, "analytics": None}}, "events"),
        ({"events": {"calls": "all"}}, "events.calls"),
        ({"events": {"call": ["call:completed"]}}, "events.call[0]"),
        ({"maxInFlight": 0}, "maxInFlight"),
        ({"maxInFlight": 1001}, "maxInFlight"),
        ({"unknown": 1}, "unknown"),
    ],
)
async def test_a_patch_that_may_not_be_is_refused_by_path_and_changes_nothing(
    api: Api, patch: Json, path: str
) -> None:
    made = await make(api)
    address = f"/v1/integrations/{made['id']}"
    before = (await api.get(address)).json()
    answer = await api.patch(address, patch)
    assert answer.status_code == 422
    assert [problem["path"] for problem in answer.json()["errors"]] == [path]
    assert (await api.get(address)).json() == before


async def test_half_of_an_aws_key_is_refused(api: Api) -> None:
    path = f"/v1/integrations/{(await make(api, a_queue()))['id']}"
    answer = await api.patch(path, {"transmission": {"accessKeyId": "AKIAANOTHERKEY001234"}})
    assert answer.json()["errors"][0]["path"] == "transmission.secretAccessKey"
    headers = await api.patch(path, {"transmission": {"headers": {"X-A": "1"}}})
    assert headers.json()["errors"][0]["path"] == "transmission.headers"


async def test_a_stale_if_match_changes_and_deletes_nothing(api: Api) -> None:
    path = f"/v1/integrations/{(await make(api))['id']}"
    stale = (await api.get(path)).headers["etag"]
    current = (await api.patch(path, {"name": "New"}, headers={"If-Match": stale})).headers["etag"]
    assert current != stale
    for answer in (
        await api.patch(path, {"name": "Lost"}, headers={"If-Match": stale}),
        await api.delete(path, headers={"If-Match": stale}),
        await api.delete(path, headers={"If-Match": f"W/{current}"}),
    ):
        assert answer.status_code == 412
        assert answer.json()["type"] == "/problems/stale"
    assert (await api.get(path)).json()["name"] == "New"
    assert (await api.patch(path, {"name": "Any"}, headers={"If-Match": "*"})).is_success
    several = {"If-Match": f'"77", "{int(current.strip(chr(34))) + 1}"'}
    assert (await api.delete(path, headers=several)).status_code == 204


async def test_a_deleted_integration_is_gone(api: Api) -> None:
    made = await make(api)
    path = f"/v1/integrations/{made['id']}"
    answer = await api.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    for again in (
        await api.delete(path),
        await api.get(path),
        await api.get(f"{path}/secret"),
        await api.post(f"{path}/rotate-secret"),
        await api.post(f"{path}/test", {"type": "call:completed"}),
        await api.patch(path, {"name": "x"}),
    ):
        assert again.status_code == 404
    listed = (await api.get("/v1/integrations?limit=200")).json()["items"]
    assert made["id"] not in [item["id"] for item in listed]


@pytest.mark.parametrize("malformed", ["nope", "S95EUM", "a%00bcde", "%F0%9F%98%80", "a" * 500])
async def test_a_malformed_id_is_not_found(api: Api, malformed: str) -> None:
    assert (await api.get(f"/v1/integrations/{malformed}")).status_code == 404


async def test_a_test_sends_the_example_and_tells_its_outcome_in_full(
    api: Api, tester: FakeTester
) -> None:
    made = await make(api)
    path = f"/v1/integrations/{made['id']}/test"
    answer = await api.post(path, {"type": "call:summary:completed"})
    assert tester.asked == [(made["id"], "call:summary:completed")]
    result = answer.json()
    assert result["eventType"] == "call:summary:completed"
    assert result["body"] == '{"id":"1"}'
    assert result["attempt"] == {
        "number": 1,
        "startedAt": "2026-01-31T12:00:00Z",
        "durationMs": 41,
        "outcome": "retry",
        "error": "status",
        "statusCode": 503,
        "responseBody": "down \ufffd",
        "responseDefect": None,
        "hint": None,
        "tlsReason": None,
    }
    unknown = await api.post(path, {"type": "call:nothing"})
    assert (unknown.status_code, unknown.json()["errors"][0]["path"]) == (422, "type")


async def test_creations_are_refused_to_an_ingest_key(api: Api, keys: Keys) -> None:
    answer = await api.post("/v1/integrations", a_webhook(), key=await keys.ingest())
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/forbidden"


async def test_what_events_are_worth_is_kept_by_group_and_merged(api: Api) -> None:
    asked = {
        "call": {"maxAge": 30},
        "presence": {"keep": "latest"},
        "analytics": {"retryDelays": [5, 300, 3600]},
        "chat": {},
    }
    made = await make(api, a_webhook(delivery=asked))
    path = f"/v1/integrations/{made['id']}"
    assert made["delivery"] == {name: parts for name, parts in asked.items() if parts}

    async def merged(patch: object) -> object:
        answer = await api.patch(path, {"delivery": patch})
        assert answer.status_code == 200, answer.text
        return answer.json()["delivery"]

    changed = await merged({"call": {"retryDelays": []}, "presence": None, "analytics": {}})
    analytics = {"retryDelays": [5, 300, 3600]}
    assert changed == {"call": {"maxAge": 30, "retryDelays": []}, "analytics": analytics}
    assert await merged({"call": {"maxAge": None, "retryDelays": None}}) == {"analytics": analytics}
    version = (await api.get(path)).json()["version"]
    assert await merged({"analytics": analytics}) == {"analytics": analytics}
    assert (await api.get(path)).json()["version"] == version
    assert await merged(None) == {}


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"calls": {}}, "delivery.calls"),
        ({"call": {"maxAge": 0}}, "delivery.call.maxAge"),
        ({"call": {"maxAge": 1e9}}, "delivery.call.maxAge"),
        ({"call": {"keep": "all"}}, "delivery.call.keep"),
        ({"call": {"retryDelays": [1, 2, 3, 4]}}, "delivery.call.retryDelays"),
        ({"call": {"retryDelays": [-1]}}, "delivery.call.retryDelays[0]"),
        ({"call": {"retries": 3}}, "delivery.call.retries"),
        ({"call": 30}, "delivery.call"),
    ],
)
async def test_what_is_wrong_with_delivery_is_named(api: Api, wrong: object, path: str) -> None:
    made = await make(api)
    created = await api.post("/v1/integrations", a_webhook(delivery=wrong))
    changed = await api.patch(f"/v1/integrations/{made['id']}", {"delivery": wrong})
    for answer in (created, changed):
        assert answer.status_code == 422, answer.text
        assert [each["path"] for each in answer.json()["errors"]] == [path]


async def test_ordering_is_chosen_at_the_creation_and_changed_later(api: Api) -> None:
    made = (await api.post("/v1/integrations", a_webhook(ordering="subject"))).json()
    path = f"/v1/integrations/{made['id']}"
    assert made["ordering"] == "subject"
    changed = await api.patch(path, {"ordering": "none"})
    assert (changed.status_code, changed.json()["ordering"]) == (200, "none")
    assert (await api.get(path)).json()["ordering"] == "none"
    wrong: list[object] = ["pbx", "SUBJECT", "", 1, True, []]
    for malformed in wrong:
        for refused in (
            await api.patch(path, {"ordering": malformed}),
            await api.post("/v1/integrations", a_webhook(ordering=malformed)),
        ):
            assert refused.status_code == 422, malformed
            assert [error["path"] for error in refused.json()["errors"]] == ["ordering"]


async def test_a_fifo_queue_keeps_order_and_cannot_be_told_not_to(api: Api) -> None:
    document = a_queue()
    document["transmission"]["url"] += ".fifo"
    made = (await api.post("/v1/integrations", document)).json()
    assert made["ordering"] == "subject"
    for refused in (
        await api.patch(f"/v1/integrations/{made['id']}", {"ordering": "none"}),
        await api.post("/v1/integrations", document | {"ordering": "none"}),
    ):
        assert refused.status_code == 422
        [error] = refused.json()["errors"]
        assert error["path"] == "ordering"
        assert "FIFO" in error["message"]


async def test_a_path_that_no_example_of_a_chosen_type_has_is_kept_with_a_warning(api: Api) -> None:
    pattern = {"data": {"flows": {"directon": ["INBOUND"]}}}
    wanted = a_webhook(filter=pattern, omit=["data.chunkz", "data.chunks"], pbx="warned")
    wanted["events"] = {"analytics": "all"}
    created = await api.post(ALL, wanted, headers={"Idempotency-Key": "warned"})
    made = created.json()
    assert (created.status_code, made["filter"]) == (201, pattern)
    assert [each["path"] for each in made["warnings"]] == ["filter.data.flows.directon", "omit[0]"]
    assert "flows.directon; did you mean data.flows.direction?" in made["warnings"][0]["message"]
    again = await api.post(ALL, wanted, headers={"Idempotency-Key": "warned"})
    assert again.json() == made

    path = f"{ALL}/{made['id']}"
    assert "warnings" not in (await api.get(path)).json()
    renamed = (await api.patch(path, {"name": "Renamed", "warnings": made["warnings"]})).json()
    assert (renamed["name"], renamed["warnings"]) == ("Renamed", made["warnings"])
    false = await api.patch(path, {"warnings": []})
    assert [each["path"] for each in false.json()["errors"]] == ["warnings"]
    mended = {"filter": {"data": {"flows": {"direction": ["INBOUND"]}}}, "omit": None}
    assert "warnings" not in (await api.patch(path, mended)).json()
    moved = (await api.patch(path, {"events": {"analytics": None, "chat": "all"}})).json()
    assert [each["path"] for each in moved["warnings"]] == ["filter.data.flows.direction"]
