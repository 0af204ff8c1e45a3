"""The test button pressed without end, and what deliveries and other tenants see of it."""

import asyncio
import json
from dataclasses import dataclass, field

import httpx

from factories import Json, an_event
from support.receivers import OK, Exchange, Receiver, receiving
from support.senders import minting
from support.service import Service, Services

PRESSED, OTHER = "000000000001", "000000000002"
TESTED = "call:completed"
MORE = ("000000000003", "000000000004", "000000000005")
SLOTS = 16  # deliveries in the process's hands at a time, and tests that hang meanwhile
PRESSES = 40
HANGING = 300  # seconds that a test may hang: longer than anything here waits


@dataclass(slots=True)
class Slow:
    """Answers the tested type when it is told to, and every other type at once."""

    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, exchange: Exchange) -> None:
        if json.loads(exchange.request.body)["type"] == TESTED:
            await self.told.wait()
        await exchange.say(OK)


async def press(service: Service, integration: Json, key: str = "") -> httpx.Response:
    path = f"/v1/integrations/{integration['id']}/test"
    return await service.api.post(path, {"type": TESTED}, key=key, timeout=HANGING)


async def press_often(
    service: Service, integration: Json, key: str, *, taken: int
) -> list[asyncio.Task[httpx.Response]]:
    """Press many times at once; see all but those taken refused, and return the others."""
    pressed = [asyncio.create_task(press(service, integration, key)) for _ in range(PRESSES)]
    answers = asyncio.as_completed(pressed)
    for _ in range(PRESSES - taken):
        answer = await next(answers)
        assert answer.status_code == 429, answer.text
        assert int(answer.headers["retry-after"]) == HANGING
        assert answer.json()["type"] == "/problems/overloaded"
        assert "test deliveries of" in answer.json()["detail"]
    return [task for task in pressed if not task.done()]


async def delivers(service: Service, integration: Json, pbx: str) -> None:
    """See that more events than there are slots are delivered now."""
    sent = [
        await service.send(an_event(pbx=pbx, type="call:start", id=f"{pbx}-{number}"))
        for number in range(2 * SLOTS)
    ]
    for each in sent:
        outcomes = await service.settled(each["eventId"])
        assert outcomes[integration["id"]]["status"] == "delivered"


async def test_a_button_that_is_pressed_without_end_holds_up_nothing_but_itself(
    together: Services,
) -> None:
    service = await together.start(DELIVERY_TIMEOUT=str(HANGING), MAX_IN_FLIGHT=str(SLOTS))
    async with minting(together) as keys:
        key, others = await keys.manager(pbx=PRESSED), await keys.manager(pbx=OTHER)
    slow = Slow()
    async with receiving(slow) as hanging, receiving() as well:

        async def made(receiver: Receiver, pbx: str) -> Json:
            return await service.an_integration(receiver, pbx=pbx, events={"call": "all"})

        one, two, three = [await made(hanging, PRESSED) for _ in range(3)]
        other = await made(well, OTHER)
        more = [await made(hanging, pbx) for pbx in (*MORE, *MORE)]

        under_way = await press_often(service, one, key, taken=2)
        under_way += await press_often(service, two, key, taken=2)
        under_way += await press_often(service, three, key, taken=0)
        under_way += [asyncio.create_task(press(service, each)) for each in (*more, *more)]
        await hanging.until_asked(SLOTS, within=60)
        assert len(under_way) == len(hanging.requests) == SLOTS

        answer = await press(service, other, others)
        assert answer.json()["attempt"]["outcome"] == "delivered"
        await delivers(service, other, OTHER)
        await delivers(service, one, PRESSED)

        slow.told.set()
        for each in [*await asyncio.gather(*under_way), await press(service, three, key)]:
            assert each.json()["attempt"]["outcome"] == "delivered"
