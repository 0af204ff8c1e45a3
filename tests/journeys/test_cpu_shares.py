"""A tenant that takes more CPU time than its share is held back, beside others and alone not."""

import asyncio

from support.senders import Sender, a_sender, sending_on
from support.service import Service, Services

GREEDY, OTHER = "000000000001", "000000000002"
ANNOUNCED = 16 * 1024 * 1024  # bytes of a batch; reading them counts, whether they come or not
AT_ONCE = 70  # requests: some more than may wait


async def announce(service: Service, key: str) -> None:
    """Announce a large batch, and send none of it."""
    port = int(service.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /v1/events/batch HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {ANNOUNCED}\r\n\r\n"
    )
    writer.write(head.encode())
    await writer.drain()
    writer.close()


async def refused(service: Service, sender: Sender) -> int:
    """Take CPU time, then send many events at once; return how many were refused for it."""
    for _ in range(40):
        await announce(service, sender.key)
    answers = await asyncio.gather(*(sender.send(service) for _ in range(AT_ONCE)))
    assert {each.status_code for each in answers} <= {202, 429}
    told = [each.json()["detail"] for each in answers if each.status_code == 429]
    return len([each for each in told if "CPU time" in each])


async def test_who_takes_more_than_a_share_is_held_back_beside_others_alone(
    together: Services,
) -> None:
    service = await together.start()
    greedy, other = await a_sender(together, GREEDY), await a_sender(together, OTHER)
    assert await refused(service, greedy) == 0, "nobody else was there"
    async with sending_on(other, service):
        while not await refused(service, greedy):
            continue
