"""Every operation of the document with every kind of key, so that a new one can't be forgotten."""

import json
import re

import pytest

from hookline.app import openapi_document
from hookline.domain.ids import new_uuid
from support.api_client import Api, Keys

OPERATIONS = [
    (operation["operationId"], method.upper(), path)
    for path, operations in json.loads(openapi_document())["paths"].items()
    for method, operation in operations.items()
]
OPEN = {"getLiveness", "getReadiness"}
FOR_SENDERS = {"sendEvent", "sendEventBatch"}
FOR_EVERYBODY = {"listEventTypes"}
FOR_ADMINS = {"putPbx"}
EXAMPLES = {"integrationId": "s95eum", "pbx": "000000000001"}


async def status(api: Api, method: str, path: str, key: str | None) -> int:
    def example(found: re.Match[str]) -> str:
        return EXAMPLES.get(found[1], str(new_uuid()))

    answer = await api.request(method, re.sub(r"\{(\w+)\}", example, path), json={}, key=key)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code


@pytest.fixture(scope="module")
async def ingest(keys: Keys) -> str:
    return await keys.ingest()


@pytest.fixture(scope="module")
async def manager(keys: Keys) -> str:
    return await keys.manager(pbx="000000000099")


@pytest.fixture(scope="module")
async def revoked(keys: Keys) -> str:
    return await keys.revoked()


@pytest.mark.parametrize(("name", "method", "path"), OPERATIONS)
async def test_without_a_valid_key_nothing_is_possible(
    api: Api, revoked: str, name: str, method: str, path: str
) -> None:
    for key in (None, revoked, "hk_" + "x" * 43):
        expected = 200 if name in OPEN else 401
        assert await status(api, method, path, key) == expected


@pytest.mark.parametrize(("name", "method", "path"), OPERATIONS)
async def test_an_ingest_key_only_sends(
    api: Api, ingest: str, name: str, method: str, path: str
) -> None:
    found = await status(api, method, path, ingest)
    if name in OPEN | FOR_SENDERS | FOR_EVERYBODY:
        assert found in {200, 422}
    else:
        assert found == 403


@pytest.mark.parametrize(("name", "method", "path"), OPERATIONS)
async def test_a_manager_sends_nothing_and_finds_nothing_of_others(
    api: Api, manager: str, name: str, method: str, path: str
) -> None:
    found = await status(api, method, path, manager)
    if name in FOR_SENDERS | FOR_ADMINS:
        assert found == 403
    elif "{" in path:
        assert found in {404, 422}
    else:
        assert found in {200, 422}
