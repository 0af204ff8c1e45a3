"""Switched off by hand: who did it and why is told, once, to those who want to know."""

from collections.abc import Awaitable, Callable

import pytest

from factories import Json, a_webhook
from hookline.api.dependencies import Services
from hookline.dispatch.notices import Notices
from hookline.integrations.notices import Outbox
from hookline.integrations.revision import Transactions
from support.api_client import Api, Keys

Told = Callable[[], Awaitable[list[Json]]]
DISABLED = "/v1/events?type=integration:disabled"


@pytest.fixture
async def told(api: Api, services: Services, transactions: Transactions) -> Told:
    """Have what is to be told accepted; return every event of it that is new, as it was stored."""
    notices = Notices(Outbox(transactions))
    seen: set[str] = set()

    async def new() -> list[Json]:
        await notices.run_once(services.ingest.accept)
        items = (await api.get(DISABLED)).json()["items"]
        fresh = [item["eventId"] for item in items if item["eventId"] not in seen]
        seen.update(fresh)
        return [(await api.get(f"/v1/events/{each}")).json() for each in fresh]

    await new()
    return new


async def made(api: Api, **changes: object) -> str:
    answer = await api.post("/v1/integrations", a_webhook(**changes))
    assert answer.status_code == 201, answer.text
    return f"/v1/integrations/{answer.json()['id']}"


async def test_it_is_told_who_switched_an_integration_off_and_why(
    api: Api, keys: Keys, told: Told
) -> None:
    path = await made(api, name="CRM")
    watcher = await made(api, name="Watcher", events={"service": "all"})
    manager = await keys.manager(pbx="000000000001")
    answer = await api.patch(path, {"enabled": False, "name": "Old CRM"}, key=manager)
    health = answer.json()["health"]
    [event] = await told()
    assert event["event"]["pbx"] == "000000000001"
    assert event["event"]["data"] == {
        "integrationId": path.rpartition("/")[2],
        "name": "Old CRM",
        "state": "disabled",
        "reason": "manual",
        "disabledBy": health["disabledBy"],
        "since": None,
        "lastError": None,
    }
    assert health["disabledBy"].startswith("key ")
    statuses = {each["integrationId"]: each["status"] for each in event["outcomes"]}
    assert statuses[watcher.rpartition("/")[2]] == "pending"


async def test_what_is_disabled_already_is_not_announced_again(api: Api, told: Told) -> None:
    born_disabled = await made(api, enabled=False)
    await api.patch(born_disabled, {"enabled": False})
    path = await made(api)
    await api.patch(path, {"enabled": False})
    assert len(await told()) == 1
    await api.patch(path, {"enabled": False})
    await api.patch(path, {"enabled": False, "name": "Other"})
    await api.patch(path, {"enabled": True})
    assert await told() == []
    await api.patch(path, {"enabled": False})
    assert len(await told()) == 1, "it was on again meanwhile"


async def test_a_change_that_is_refused_tells_nothing(api: Api, told: Told) -> None:
    path = await made(api)
    answer = await api.patch(path, {"enabled": False, "events": {"nonsense": "all"}})
    assert answer.status_code == 422
    answer = await api.patch(path, {"enabled": False}, headers={"if-match": '"99"'})
    assert answer.status_code == 412
    assert await told() == []
