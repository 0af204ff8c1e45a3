"""Records that cannot be read: each costs itself alone, says so, and can be put right."""

from factories import an_event
from support.ledger import keeping_books
from support.postgres_clients import connection
from support.service import Service, Services

DAMAGES = {
    "secret": "secret = '\\x01'",
    "headers": "headers = '\\x0123'",
    "events": "events = '[1]'",
    "group": """events = '{"call": 7}'""",
    "url": "url = 'http://['",
    "type": "type = 'CARRIER_PIGEON'",
}


async def test_records_that_cannot_be_read_are_listed_so_and_cost_the_others_nothing(
    together: Services,
) -> None:
    service = await together.start(RETRY_DELAYS="none", LOG_LEVEL="ERROR")
    async with keeping_books() as ledger:
        sound = await service.an_integration(ledger)
        damaged = {name: (await service.an_integration(ledger))["id"] for name in DAMAGES}
        async with connection(together.settings["DATABASE_URL"]) as client:
            for name, damage in DAMAGES.items():
                change = f"update integrations set {damage} where id = $1"  # noqa: S608 - ours
                await client.execute(change, damaged[name])
        await service.stop()
        service = await together.start(RETRY_DELAYS="none", LOG_LEVEL="ERROR")

        listed = {each["id"]: each for each in (await service.read("/v1/integrations"))["items"]}
        assert listed[sound["id"]]["health"]["state"] == "healthy"
        for integration_id in damaged.values():
            health = listed[integration_id]["health"]
            assert (health["state"], health["disabledReason"]) == ("disabled", "unreadable")
            assert listed[integration_id]["enabled"] is True
            assert (
                await service.read(f"/v1/integrations/{integration_id}") == listed[integration_id]
            )

        sent = await service.send(an_event())
        outcomes = await service.settled(sent["eventId"])
        assert outcomes.pop(sound["id"])["status"] == "delivered"
        assert {each["reason"] for each in outcomes.values()} == {"internal"}
        assert set(outcomes) == set(damaged.values())
        await put_right(service, damaged, url=f"http://127.0.0.1:{ledger.port}/hook")
        again = await service.send(an_event(id="again"))
        right = await service.settled(again["eventId"])
        assert {each["status"] for each in right.values()} == {"delivered"}
        assert set(right) == {sound["id"], *damaged.values()} - {damaged["type"]}
    await service.stop()


async def put_right(service: Service, damaged: dict[str, str], *, url: str) -> None:
    """Give each what its administrator would, over the API."""
    at = {name: f"/v1/integrations/{integration_id}" for name, integration_id in damaged.items()}
    events = {"call": "all", "analytics": ["call:completed"]}
    assert (await service.api.get(f"{at['secret']}/secret")).status_code == 409
    answers = [
        await service.api.post(f"{at['secret']}/rotate-secret", {}),
        await service.api.patch(at["headers"], {"transmission": {"headers": {"X-New": "1"}}}),
        await service.api.patch(at["events"], {"events": events}),
        await service.api.patch(at["group"], {"events": events}),
        await service.api.patch(at["url"], {"transmission": {"url": url}}),
        await service.api.delete(at["type"]),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200, 204]
    for answer in answers[1:5]:
        assert answer.json()["health"]["state"] == "healthy"
