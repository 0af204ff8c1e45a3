"""What others see while one key, or nobody's key, takes all that it can of a real service."""

import asyncio
import itertools

from factories import an_event
from support.attacks import MIB, connected, is_served, post, resident
from support.receivers import receiving
from support.senders import a_sender
from support.service import Services, eventually, gathered

GREEDY, OTHER = "000000000001", "000000000002"
HELD_BACK = 100  # batches whose last byte does not come
KEYS = 5  # of the greedy PBX
LARGE = 14 * MIB  # a batch
BODY_MEMORY = 32 * MIB
BESIDES = 96 * MIB  # what came with 100 heads before the first answer, and copies of bodies


def large_batch(number: int) -> dict[str, object]:
    """Return a batch of a thousand events of `LARGE` bytes together."""
    text = "x" * (LARGE // 1000)
    events = [an_event(pbx=GREEDY, time=1000 * number + at, data={"t": text}) for at in range(1000)]
    return {"events": events}


async def test_bodies_that_never_end_take_a_share_of_the_memory_and_nobody_elses_turn(
    together: Services,
) -> None:
    service = await together.start(MAX_BODY_MEMORY=str(BODY_MEMORY))
    keys = [(await a_sender(together, GREEDY)).key for _ in range(KEYS)]
    victim = await a_sender(together, OTHER)
    async with receiving() as receiver, connected(service, HELD_BACK) as held:
        await service.an_integration(receiver, pbx=OTHER)
        await is_served(victim, service, receiver)
        before = resident(service)
        of_keys = zip(held, itertools.cycle(keys), strict=False)
        tasks = [asyncio.create_task(each.hold_back(key, 16 * MIB)) for each, key in of_keys]
        answers = asyncio.as_completed(tasks)
        assert await next(answers) == b"429"
        await is_served(victim, service, receiver)
        for _ in range(HELD_BACK // 2):
            assert await next(answers) == b"429"
        await is_served(victim, service, receiver)
        assert resident(service) - before < BODY_MEMORY + BESIDES
        for task in tasks:
            task.cancel()


async def test_the_memory_of_large_batches_goes_back_to_the_system(together: Services) -> None:
    service = await together.start()
    sender = await a_sender(together, GREEDY)
    before = resident(service)
    for number in range(4):
        batches = [large_batch(2 * number), large_batch(2 * number + 1)]
        posts = [service.api.post("/v1/events/batch", each, key=sender.key) for each in batches]
        assert [each.status_code for each in await asyncio.gather(*posts)] == [202, 202]

    async def more() -> int:
        return resident(service) - before

    await eventually(more, lambda kept: kept < LARGE)


async def test_clients_without_a_key_keep_no_connection_from_those_with_a_key(
    together: Services,
) -> None:
    service = await together.start(MAX_CONNECTIONS="20")
    victim = await a_sender(together, OTHER)
    async with receiving() as receiver, connected(service, 1) as [known]:
        await service.an_integration(receiver, pbx=OTHER)
        known.writer.write(post("/v1/events", victim.key, 2) + b"{}")
        assert (await known.reader.readline()).startswith(b"HTTP/1.1 422 ")
        async with connected(service, 40) as unauthenticated:
            for each in unauthenticated:
                each.writer.write(post("/v1/events", "hk_" + "x" * 43, 1_000_000))
            await is_served(victim, service, receiver)
            await gathered([each.ended() for each in unauthenticated], at_once=40)
        known.writer.write(post("/v1/events", victim.key, 2) + b"{}")
        assert b"HTTP/1.1 422 " in await known.reader.readuntil(b"HTTP/1.1 422 ")


async def test_a_tenants_keys_together_keep_half_of_the_connections(together: Services) -> None:
    service = await together.start(MAX_CONNECTIONS="20")
    keys = [(await a_sender(together, GREEDY)).key for _ in range(KEYS)]
    victim = await a_sender(together, OTHER)
    async with receiving() as receiver, connected(service, 40) as held:
        await service.an_integration(receiver, pbx=OTHER)
        for each, key in zip(held, itertools.cycle(keys), strict=False):
            each.writer.write(post("/v1/events", key, 1_000) + b"{")
        await is_served(victim, service, receiver)
