"""Several processes on one database: what one of them is told holds in all of them, at once."""

from factories import COMPANY, PBX, an_event
from support.receivers import receiving
from support.service import Service, Services

ROUNDS = 3  # a race that is lost now and then is lost in one of them


async def test_what_one_process_changes_counts_for_the_next_event_of_another(
    together: Services,
) -> None:
    one, other = await together.start(), await together.start("--no-engine")
    async with receiving() as receiver:
        for number in range(ROUNDS):
            integration = await one.an_integration(receiver)
            path = f"/v1/integrations/{integration['id']}"
            assert await fate(other, integration["id"], f"{number}-created") == "delivered"

            await one.api.patch(path, {"enabled": False})
            assert await fate(other, integration["id"], f"{number}-disabled") == "disabled"

            await one.api.patch(path, {"enabled": True})
            assert await fate(other, integration["id"], f"{number}-enabled") == "delivered"

            await one.api.patch(path, {"events": {"call": None}})
            assert await fate(other, integration["id"], f"{number}-live") == "delivered"
            await one.api.patch(path, {"events": {"analytics": None, "chat": "all"}})
            assert await fate(other, integration["id"], f"{number}-other") == "not_selected"

            assert (await one.api.delete(path)).status_code == 204
            assert await fate(other, integration["id"], f"{number}-deleted") == "not considered"
        assert len(receiver.requests) == 3 * ROUNDS


async def fate(service: Service, integration_id: str, subject: str) -> str:
    """Send an event and tell what it is for an integration as soon as it is accepted."""
    sent = await service.send(an_event(id=subject))
    outcome = (await service.outcomes(sent["eventId"])).get(integration_id)
    if outcome is None:
        assert sent["deliveries"] == 0
        return "not considered"
    assert sent["deliveries"] == (outcome["status"] != "skipped")
    settled = (await service.settled(sent["eventId"]))[integration_id]
    return str(settled["reason"] or settled["status"])


async def test_a_licence_that_changes_holds_for_the_next_event_in_every_process(
    together: Services,
) -> None:
    one, other = await together.start("--no-engine"), await together.start("--no-engine")
    async with receiving() as receiver:
        integration = await one.an_integration(receiver, events={"presence": "all"})
        fates = []
        for number, (licence, switched_on) in enumerate(
            [("collaboration", False), ("collaboration", True), ("x-bees", False)] * ROUNDS
        ):
            described = {"company": COMPANY, "license": licence, "presenceEvents": switched_on}
            assert (await one.api.put(f"/v1/pbxs/{PBX}", described)).status_code == 200
            event = an_event(id=f"it_{number}", type="presence:user", data={"status": "away"})
            sent = await other.send(event)
            outcome = (await other.outcomes(sent["eventId"]))[integration["id"]]
            fates.append(outcome["reason"])
        assert fates == ["licence", None, None] * ROUNDS


async def test_a_revoked_key_is_worthless_at_once_in_every_process(together: Services) -> None:
    services = [await together.start("--no-engine"), await together.start("--no-engine")]
    key = await made_key(together, "--role", "manager", "--company", COMPANY)
    sender = await made_key(together, "--role", "ingest", "--pbx", PBX)
    for service in services:
        assert (await service.api.get("/v1/integrations", key=key)).status_code == 200
        assert (await service.api.post("/v1/events", an_event(), key=sender)).status_code == 202

    for record in await key_ids(together):
        await run(together, "keys", "revoke", record)

    for service in services:
        assert (await service.api.get("/v1/integrations", key=key)).status_code == 401
        answer = await service.api.post("/v1/events", an_event(id="late"), key=sender)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


async def made_key(services: Services, *options: str) -> str:
    return (await run(services, "keys", "create", *options)).strip()


async def key_ids(services: Services) -> list[str]:
    """Return the ids of all keys but the first admin's."""
    rows = [row.split("\t") for row in (await run(services, "keys", "list")).splitlines()[1:]]
    return [row[0] for row in rows if row[2] != "admin"]


async def run(services: Services, *arguments: str) -> str:
    code, out, err = await services.terminal.run(*arguments, **services.settings)
    assert (code, err) == (0, "")
    return out
