"""One tenant's targets hang, more of them than there are places: what another tenant sees."""

from factories import an_event
from support.receivers import Exchange, receiving
from support.service import Services, gathered

HANGING, OTHER = "0000000000cc", "0000000000dd"
TARGETS, BACKLOG, PLACES = 60, 20, 64
IN_HAND = 20  # attempts that the first tenant has under way when the other one comes


async def hang(exchange: Exchange) -> None:
    await exchange.until_closed()


async def test_a_new_integration_gets_its_event_while_anothers_targets_hang(
    together: Services,
) -> None:
    service = await together.start(
        MAX_IN_FLIGHT=str(PLACES), DELIVERY_TIMEOUT="300", SHUTDOWN_GRACE="0.1"
    )
    async with receiving(hang) as hanging, receiving() as receiver:
        await gathered(
            [
                service.an_integration(hanging, pbx=HANGING, events={"call": "all"})
                for _ in range(TARGETS)
            ],
            at_once=8,
        )
        for start in range(BACKLOG):
            await service.send(an_event(pbx=HANGING, id=f"call-{start}", type="call:start"))
        await hanging.until_asked(IN_HAND, within=60)
        await service.an_integration(receiver, pbx=OTHER, events={"call": "all"})
        await service.send(an_event(pbx=OTHER, type="call:start"))
        await receiver.until_asked(1, within=60)
        assert hanging.open >= IN_HAND, "nobody gave up a place for it"
