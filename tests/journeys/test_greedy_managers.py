"""One manager's key calls the API in loops: nothing breaks, and other tenants are served."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from factories import a_webhook, an_event
from support.api_client import Api
from support.attacks import MIB, is_served, resident
from support.databases import Databases
from support.receivers import Receiver, receiving
from support.senders import Sender, a_sender, minting
from support.service import Service, services

GREEDY, OTHER = "000000000001", "000000000002"
AT_ONCE = 32  # calls
CALLS = 48  # at the least
INTEGRATIONS = 10
BESIDES = 96 * MIB
HALF = "a" * 45
WORST = {
    "data": {
        "text": [{"wildcard": f"*{HALF}b{HALF}*{HALF}b*"}],
        "list": [{"anything-but": {"wildcard": [f"*{HALF}x*"]}}],
    }
}
TRIED = [
    an_event(pbx=GREEDY, time=at, data={"text": "a" * 9_000, "list": ["a" * 200] * 40})
    for at in range(20)
]


@dataclass(frozen=True, slots=True)
class Stage:
    """A service with two tenants, of which one has a key to call it in loops with."""

    service: Service
    key: str
    integrations: list[str]
    other: str  # the other tenant's integration
    victim: Sender
    well: Receiver


@pytest.fixture(scope="module")
async def stage(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("greedy")
    async with (
        databases.migrated() as dsn,
        services(folder, DATABASE_URL=dsn) as starter,
        receiving() as well,
        receiving() as own,
    ):
        service = await starter.start(MAX_STREAMS="20")
        greedy, victim = await a_sender(starter, GREEDY), await a_sender(starter, OTHER)
        other = (await service.an_integration(well, pbx=OTHER))["id"]
        made = [await service.an_integration(own, pbx=GREEDY) for _ in range(INTEGRATIONS)]
        assert (await greedy.send_batch(service, 200)).status_code == 202
        await own.until_asked(200 * INTEGRATIONS, within=60)
        async with minting(starter) as keys:
            key = await keys.manager(pbx=GREEDY)
        yield Stage(service, key, [each["id"] for each in made], other, victim, well)


def a_period() -> dict[str, object]:
    now = datetime.now(UTC)
    return {"since": (now - timedelta(days=20)).isoformat(), "until": now.isoformat()}


Call = Callable[[Api, str, int], Awaitable[httpx.Response]]


async def rename(api: Api, name: str, number: int) -> httpx.Response:
    return await api.patch(f"/v1/integrations/{name}", {"name": f"number {number}"})


async def change_filter(api: Api, name: str, number: int) -> httpx.Response:
    wanted = WORST if number % 2 else None
    return await api.patch(f"/v1/integrations/{name}", {"filter": wanted})


async def try_filter(api: Api, _name: str, _number: int) -> httpx.Response:
    return await api.post("/v1/filters/try", {"filter": WORST, "events": TRIED})


async def try_on_stored(api: Api, name: str, _number: int) -> httpx.Response:
    asked = {"filter": WORST, "omit": ["data.duration"], "integrationId": name}
    return await api.post("/v1/filters/try", asked)


async def count_replay(api: Api, name: str, _number: int) -> httpx.Response:
    asked = a_period() | {"dryRun": True, "missing": True}
    return await api.post(f"/v1/integrations/{name}/replays", asked)


async def replay(api: Api, name: str, _number: int) -> httpx.Response:
    return await api.post(f"/v1/integrations/{name}/replays", a_period())


async def search_events(api: Api, _name: str, number: int) -> httpx.Response:
    return await api.get(f"/v1/events?subject=nothing{number}&type=call:completed")


async def search_deliveries(api: Api, name: str, _number: int) -> httpx.Response:
    path = f"/v1/deliveries?integrationId={name}&status=failed&type=call:summary:completed"
    return await api.get(path)


async def list_deliveries(api: Api, _name: str, _number: int) -> httpx.Response:
    return await api.get("/v1/deliveries?limit=200")


async def open_stream(api: Api, _name: str, _number: int) -> httpx.Response:
    async with api.client.stream("GET", "/v1/stream") as response:
        return response


async def press_test_button(api: Api, name: str, _number: int) -> httpx.Response:
    return await api.post(f"/v1/integrations/{name}/test", {"type": "call:completed"})


async def rotate(api: Api, name: str, _number: int) -> httpx.Response:
    return await api.post(f"/v1/integrations/{name}/rotate-secret", {})


async def create(api: Api, _name: str, _number: int) -> httpx.Response:
    return await api.post("/v1/integrations", a_webhook(pbx=GREEDY))


async def mint(api: Api, _name: str, _number: int) -> httpx.Response:
    return await api.post("/v1/keys", {"role": "manager", "pbx": GREEDY})


async def erase(api: Api, _name: str, _number: int) -> httpx.Response:
    return await api.post("/v1/erasures", {"pbx": OTHER})


@pytest.mark.parametrize(
    ("call", "answers"),
    [
        (rename, {200, 429}),
        (change_filter, {200, 429}),
        (try_filter, {200, 429}),
        (try_on_stored, {200, 429}),
        (count_replay, {200, 429}),
        (replay, {202, 409, 429}),
        (search_events, {200, 429}),
        (search_deliveries, {200, 429}),
        (list_deliveries, {200, 429}),
        (open_stream, {200, 429}),
        (press_test_button, {200, 429}),
        (rotate, {200, 409, 429}),
        (create, {201, 409, 422, 429}),
        (mint, {403, 429}),
        (erase, {403, 429}),
    ],
)
async def test_calls_in_a_loop_are_bounded_and_others_are_served(
    stage: Stage, call: Call, answers: set[int]
) -> None:
    before = resident(stage.service)
    statuses: Counter[int] = Counter()
    names, numbers = itertools.cycle(stage.integrations), itertools.count()
    unbounded = httpx.Limits(max_connections=None)

    async with httpx.AsyncClient(
        base_url=stage.service.url,
        headers={"authorization": f"Bearer {stage.key}"},
        timeout=120,
        limits=unbounded,
        trust_env=False,
    ) as client:
        api = Api(client, stage.key)

        async def loop() -> None:
            while True:
                answer = await call(api, next(names), next(numbers))
                statuses[answer.status_code] += 1

        calling = [asyncio.create_task(loop()) for _ in range(AT_ONCE)]
        try:
            while statuses.total() < CALLS:
                assert not any(task.done() for task in calling)
                await is_served(stage.victim, stage.service, stage.well)
        finally:
            for task in calling:
                task.cancel()
            await asyncio.gather(*calling, return_exceptions=True)
    assert set(statuses) <= answers
    assert resident(stage.service) - before < BESIDES


async def test_nobody_elses_event_was_lost_meanwhile(stage: Stage) -> None:
    await stage.well.until_asked(stage.victim.sent, within=60)
    for status in ("failed", "skipped"):
        path = f"/v1/deliveries?integrationId={stage.other}&status={status}&limit=1"
        assert (await stage.service.read(path))["items"] == []
