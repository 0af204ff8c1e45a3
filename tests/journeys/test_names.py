"""One tenant's dead names: what another tenant sees of them, which is nothing."""

import asyncio
from http import HTTPStatus

import httpx

from factories import an_event
from support.api_client import Api
from support.name_server import naming
from support.receivers import receiving
from support.service import Services

ATTACKER, OTHER = "0000000000aa", "0000000000bb"
PRIVATE = "private.example.com"
WELL = "well.example.com"


async def move(api: Api, integration_id: str, url: str) -> int:
    """Change an integration's URL; return the answer's status."""
    patch = {"transmission": {"url": url}}
    return (await api.patch(f"/v1/integrations/{integration_id}", patch)).status_code


async def test_a_tenants_names_that_nobody_answers_for_hold_up_nobody_else(
    together: Services,
) -> None:
    known = {WELL: ["127.0.0.1"], PRIVATE: ["10.0.0.1"]}
    async with naming(known) as names, receiving() as receiver:
        service = await together.start(
            EGRESS_NAME_SERVERS=f"127.0.0.1:{names.port}",
            REQUESTS_PER_SECOND="10000",
        )
        attacked = await service.an_integration(receiver, pbx=ATTACKER, events={"call": "all"})
        other = await service.an_integration(receiver, pbx=OTHER, events={"call": "all"})
        unbounded = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=service.url, timeout=120, limits=unbounded) as own:
            attacker = Api(own, together.admin_key)
            await move(attacker, attacked["id"], "https://dead.example.com/")
            attack = [
                asyncio.create_task(
                    move(attacker, attacked["id"], f"https://dead{number}.example.com/")
                )
                for number in range(100)
            ]
            await names.until_asked("dead0.")
            for number in range(50):
                await service.send(an_event(pbx=ATTACKER, id=f"call-{number}", type="call:start"))

            refused = await move(service.api, other["id"], f"https://{PRIVATE}/hook")
            assert refused == HTTPStatus.UNPROCESSABLE_ENTITY, "it was looked up in time"
            assert await move(service.api, other["id"], f"http://{WELL}:{receiver.port}/") == 200
            sent = await service.send(an_event(pbx=OTHER, type="call:start"))
            delivery = await service.settled_delivery(sent["eventId"])
            assert [each["outcome"] for each in delivery["attempts"]] == ["delivered"]
            for call in attack:
                call.cancel()
            await asyncio.gather(*attack, return_exceptions=True)
