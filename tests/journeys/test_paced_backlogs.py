"""Of two tenants with a backlog, the quiet one's deliveries go out beside the other's thousands."""

import asyncio
from tempfile import TemporaryDirectory

from support.receivers import Exchange, Receiver, receiving
from support.scraping import parsed
from support.senders import Sender, a_sender, sending_on
from support.service import Service, Services, eventually

BUSY, QUIET = "000000000001", "000000000002"
BATCH, FAN_OUT = 1_000, 10
WAITING = 2_000  # deliveries of the busy tenant that are still to come


async def held_back(service: Service) -> float:
    """Return how many attempts waited for their tenant's share of the processor."""
    answer = await service.api.get("/metrics", key=None)
    return parsed(answer.text).value("hookline_attempts_held_back_total")


async def test_a_quiet_tenants_backlog_goes_out_beside_thousands_of_anothers(
    together: Services,
) -> None:
    service = await together.start()
    busy, quiet = await a_sender(together, BUSY), await a_sender(together, QUIET)
    open_again = asyncio.Event()

    async def once_open(exchange: Exchange) -> None:
        await open_again.wait()
        await exchange.say(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    async with receiving(once_open) as flooded, receiving(once_open) as receiver:
        for _ in range(FAN_OUT):
            await service.an_integration(flooded, pbx=BUSY)
        await service.an_integration(receiver, pbx=QUIET)
        for sender, size in ((busy, BATCH), (quiet, 50)):
            assert (await sender.send_batch(service, size)).status_code == 202
        async with sending_on(quiet, service):
            open_again.set()
            await receiver.until_asked(100, within=60)
            assert len(flooded.requests) < BATCH * FAN_OUT - WAITING
            await eventually(lambda: held_back(service), lambda count: count > 0)
            before = len(receiver.requests)
            await flooded.until_asked(BATCH * FAN_OUT, within=120)
            assert len(receiver.requests) > before, "both go on"
        assert (await quiet.send(service)).status_code == 202
        await delivered(receiver, quiet)


async def test_who_is_alone_in_its_process_is_held_back_beside_events_in_another(
    together: Services,
) -> None:
    with TemporaryDirectory() as folder:
        here, there = [
            await together.start(f"--peer-socket={folder}/{number}.peer") for number in range(2)
        ]
        busy, quiet = await a_sender(together, BUSY), await a_sender(together, QUIET)
        async with receiving() as flooded, receiving() as receiver:
            for _ in range(FAN_OUT):
                await here.an_integration(flooded, pbx=BUSY)
            await here.an_integration(receiver, pbx=QUIET)
            assert (await busy.send_batch(here, 200)).status_code == 202
            await flooded.until_asked(200 * FAN_OUT, within=120)
            assert await held_back(here) + await held_back(there) == 0, "nobody else was there"

            async def after_another_batch() -> float:
                assert (await busy.send_batch(here, 50)).status_code == 202
                return await held_back(here)

            async with sending_on(quiet, there):
                await eventually(after_another_batch, lambda count: count > 0)
            await delivered(receiver, quiet)


async def delivered(receiver: Receiver, sender: Sender) -> None:
    """Wait until all that a tenant sent has come."""
    await receiver.until_asked(sender.sent, within=60)
