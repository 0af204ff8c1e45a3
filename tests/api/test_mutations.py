import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest

from factories import Json, a_queue, a_webhook
from support.api_client import Api

UNEXPECTED: list[Any] = [
    None,
    True,
    0,
    -1,
    2**70,
    1e400,
    1.5,
    "",
    "\x00",
    "\ud800",
    "\u2028",
    "x" * 5000,
    "https://[::1",
    "https://\u3002\u3002/",
    "https://xn--/",
    "http://127.0.0.1:99999/",
    "//",
    [],
    {},
    [[]],
    {"": ""},
    {"\ud800": "\udfff"},
    {"call": {"all": True}},
    {"type": "WEBHOOK"},
    {"type": []},
    {"type": None},
    ["call:completed"] * 2000,
]


def places(node: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value inside a document."""
    if isinstance(node, dict | list):
        for step, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield (*path, step)
            yield from places(value, (*path, step))


def replaced(document: Json, path: tuple[str | int, ...], value: object) -> Json:
    changed = copy.deepcopy(document)
    inside: Any = changed
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    "document", [a_webhook(headers={"X-Tenant": "7"}), a_queue()], ids=["webhook", "queue"]
)
async def test_whatever_stands_anywhere_is_taken_or_refused_by_name(
    api: Api, document: Json
) -> None:
    for path in places(document):
        for value in UNEXPECTED:
            answer = await api.post("/v1/integrations", replaced(document, path, value))
            assert answer.status_code in {201, 400, 422}, (path, value)
            if answer.status_code == 422:
                assert all(error["path"] for error in answer.json()["errors"])


async def test_two_wrong_values_at_once_are_refused_too(api: Api) -> None:
    made = (await api.post("/v1/integrations", a_webhook())).json()["id"]
    chance = random.Random(4)  # noqa: S311 - the same unexpected documents in every run
    document = a_webhook(headers={"X-Tenant": "7"}, enabled=True, filter=None, maxInFlight=3)
    del document["pbx"]
    for _ in range(150):
        first, second = chance.sample([path for path in places(document) if len(path) == 1], 2)
        patch = replaced(document, first, chance.choice(UNEXPECTED))
        patch = replaced(patch, second, chance.choice(UNEXPECTED))
        answer = await api.patch(f"/v1/integrations/{made}", patch)
        assert answer.status_code in {200, 400, 422}, patch
