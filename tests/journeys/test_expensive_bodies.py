"""What is expensive to parse keeps nobody waiting but its sender."""

import asyncio

import pytest

from shapes import shapes
from support.senders import Sender, a_sender
from support.service import Service, Services

ATTACKER, OTHER = "000000000001", "000000000002"
JSON = {"content-type": "application/json"}
EXPENSIVE = shapes(300_000)
NAMES = (
    "1e-6",
    "long fraction",
    "integer key",
    "surrogate keys",
    "tower of arrays",
    "shuffled keys",
)


async def post(service: Service, path: str, key: str, body: bytes) -> int:
    headers = JSON | {"authorization": f"Bearer {key}"}
    answer = await service.api.client.post(path, content=body, headers=headers, timeout=110)
    return answer.status_code


@pytest.fixture
async def senders(together: Services) -> tuple[Service, Sender, Sender]:
    service = await together.start()
    return service, await a_sender(together, ATTACKER), await a_sender(together, OTHER)


async def test_others_are_answered_while_an_expensive_batch_is_parsed(
    senders: tuple[Service, Sender, Sender],
) -> None:
    service, attacker, other = senders
    body = b'{"events":[%b]}' % b",".join([EXPENSIVE["1e-6"], EXPENSIVE["surrogate keys"]] * 5)
    attack = asyncio.create_task(post(service, "/v1/events/batch", attacker.key, body))
    await asyncio.sleep(0)
    answers = [await other.send(service) for _ in range(10)]
    assert not attack.done()
    assert {answer.status_code for answer in answers} == {202}
    assert await attack == 202


async def test_others_are_answered_while_many_expensive_events_are_parsed(
    senders: tuple[Service, Sender, Sender],
) -> None:
    service, attacker, other = senders
    bodies = [EXPENSIVE[name] for name in NAMES] * 3
    attacks = [
        asyncio.create_task(post(service, "/v1/events", attacker.key, body)) for body in bodies
    ]
    await asyncio.sleep(0)
    answers = [await other.send(service) for _ in range(10)]
    assert sum(attack.done() for attack in attacks) < len(attacks) // 2
    assert {answer.status_code for answer in answers} == {202}
    assert set(await asyncio.gather(*attacks)) == {202}
