"""An integration that nobody named goes by its target's host."""

import pytest

from factories import Json, a_queue, a_webhook
from support.api_client import Api

ALL = "/v1/integrations"


def without_name(document: Json) -> Json:
    return {field: value for field, value in document.items() if field != "name"}


async def make(api: Api, document: Json) -> Json:
    answer = await api.post(ALL, document)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def patched(api: Api, made: Json, changes: Json) -> Json:
    answer = await api.patch(f"{ALL}/{made['id']}", changes)
    assert answer.status_code == 200, answer.text
    after: Json = answer.json()
    return after


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (without_name(a_webhook(url="https://CRM.example.com:8443/hook?a=1")), "crm.example.com"),
        (a_webhook(name=None), "crm.example.com"),
        (without_name(a_queue()), "sqs.eu-central-1.amazonaws.com"),
    ],
)
async def test_the_host_stands_in_for_a_name(api: Api, document: Json, name: str) -> None:
    assert (await make(api, document))["name"] == name


async def test_it_follows_the_url_until_somebody_names_it(api: Api) -> None:
    made = await make(api, without_name(a_webhook()))
    moved = await patched(api, made, {"transmission": {"url": "https://new.example.com/"}})
    assert moved["name"] == "new.example.com"
    whole = moved | {"transmission": moved["transmission"] | {"url": "https://newer.example.com/"}}
    moved = await patched(api, made, whole)
    assert moved["name"] == "newer.example.com"
    assert (await patched(api, made, moved))["version"] == moved["version"]
    named = await patched(api, made, {"name": "CRM"})
    assert named["name"] == "CRM"
    moved = await patched(api, made, {"transmission": {"url": "https://crm.example.com/"}})
    assert moved["name"] == "CRM"
    assert (await patched(api, made, {"name": None}))["name"] == "crm.example.com"


async def test_a_host_that_was_given_as_a_name_stays(api: Api) -> None:
    made = await make(api, a_webhook(name="crm.example.com"))
    moved = await patched(api, made, {"transmission": {"url": "https://new.example.com/"}})
    assert moved["name"] == "crm.example.com"
