"""Records that cannot be read: each costs itself alone, says so, and can be put right.

And those in which a newer version wrote what this one does not know: they are read all the same.
"""

from typing import Any

from factories import an_event
from support.ledger import ledger_receiver
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
    async with ledger_receiver() as ledger:
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

        async with connection(together.settings["DATABASE_URL"]) as client:
            await write_as_a_newer_version(client, sound["id"], another=damaged["url"])
        await reads_words_that_it_does_not_know(service, sound["id"], again["eventId"])
    await service.stop()


async def write_as_a_newer_version(client: Any, integration_id: str, *, another: str) -> None:  # noqa: ANN401 - asyncpg ships no types
    """Leave words that this version does not know wherever a closed list is stored."""
    await client.execute(
        """
        alter table integration_health drop constraint integration_health_state_check;
        alter table integration_health drop constraint integration_health_paused_check;
        alter table pbxs drop constraint pbxs_license_check;
        alter table api_keys drop constraint api_keys_role_check;
        update revision set value = value + 1;
        insert into pbxs (pbx, sequence, company, license, presence_events, revision)
        select '00000000beef', gen_random_uuid(), 'it_w000002', 'z-bees', false, value
        from revision;
        insert into api_keys (id, hash, hint, role, revision)
        select gen_random_uuid(), '', 'hk_new', 'auditor', value from revision;
        update attempts set outcome = 'undone', error = 'quantum', tls_reason = 'moon',
            response_defect = 'smell';
        update deliveries set reason = 'tired', status = 'failed';
        """
    )
    await client.execute(
        "insert into integration_health (integration_id, state, failing_since, last_error,"
        " last_error_at, probes) values ($1, 'dozing', now(), 'quantum', now(), 0)",
        integration_id,
    )
    await client.execute(
        "update integrations set enabled = false, disabled_reason = 'holiday',"
        " disabled_by = 'hookline', disabled_at = now() where id = $1",
        another,
    )
    await client.execute(
        "update events set skipped = json_build_object('sleepy', json_build_array($1::text))",
        another,
    )


async def reads_words_that_it_does_not_know(
    service: Service, integration_id: str, event_id: str
) -> None:
    """Every list and single record is answered, with words of the API's closed lists."""
    every = await service.read("/v1/integrations")
    health = {each["id"]: each["health"] for each in every["items"]}
    shown = health[integration_id]
    assert (shown["state"], shown["lastError"]) == ("failing", "internal")
    assert "manual" in {each["disabledReason"] for each in health.values()}

    deliveries = (await service.read("/v1/deliveries"))["items"]
    assert {(each["status"], each["reason"]) for each in deliveries} == {("failed", "internal")}
    attempted = next(each for each in deliveries if each["attempts"])
    assert await service.read(f"/v1/deliveries/{attempted['id']}") == attempted
    for attempt in attempted["attempts"]:
        assert (attempt["outcome"], attempt["error"]) == ("failed", "internal")
        assert (attempt["tlsReason"], attempt["responseDefect"]) == (None, None)

    outcomes = await service.outcomes(event_id)
    assert {each["reason"] for each in outcomes.values()} == {"internal"}

    record = await service.read("/v1/pbxs/00000000beef")
    assert record["license"] == "x-bees"
    assert "hk_new" in {each["hint"] for each in (await service.read("/v1/keys"))["items"]}
    metrics = (await service.api.get("/metrics")).text
    assert 'hookline_integrations{state="failing"} 1.0' in metrics
    assert (await service.send(an_event(id="after")))["deliveries"] > 0  # the snapshot is current


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
