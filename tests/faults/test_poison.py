"""What makes our own code raise ends as a recorded failure, and costs only itself."""

from factories import an_event
from hookline.security.secrets import generate_key
from support.account import Close, the_account
from support.ledger import Ledger
from support.postgres_clients import connection
from support.service import Services
from support.traffic import Traffic


async def test_an_integration_that_cannot_be_decrypted_fails_alone_until_its_key_is_back(
    together: Services, ledger: Ledger, closed: Close
) -> None:
    ours, theirs = generate_key(), generate_key()
    service = await together.start(ENCRYPTION_KEYS=theirs)
    broken = await service.an_integration(ledger)
    await service.stop()
    service = await together.start(ENCRYPTION_KEYS=ours, RETRY_DELAYS="0.05,0.05,0.05")
    sound = await service.an_integration(ledger)
    traffic = Traffic([service.url], together.admin_key)

    await traffic.send(20)

    account = closed(await the_account(service, traffic, ledger))
    assert (account.delivered, account.failed) == (20, 20)
    failed = (await service.read(f"/v1/deliveries?integrationId={broken['id']}"))["items"]
    assert {(each["status"], each["reason"]) for each in failed} == {("failed", "internal")}
    assert {len(each["attempts"]) for each in failed} == {4}
    assert not (await service.read(f"/v1/deliveries?integrationId={sound['id']}&status=failed"))[
        "items"
    ]

    await service.stop()
    service = await together.start(ENCRYPTION_KEYS=f"{ours},{theirs}")
    for each in failed:
        answer = await service.api.post(f"/v1/deliveries/{each['id']}/retry")
        assert answer.status_code == 202, answer.text
    account = closed(await the_account(service, traffic, ledger))
    assert (account.delivered, account.failed, account.duplicated) == (40, 0, 0)
    await service.stop()


async def test_a_record_that_cannot_be_read_costs_no_other_integration(
    together: Services, ledger: Ledger
) -> None:
    service = await together.start(RETRY_DELAYS="0.05,0.05,0.05")
    odd = [await service.an_integration(ledger) for _ in range(2)]
    sound = await service.an_integration(ledger)
    async with connection(together.settings["DATABASE_URL"]) as client:
        await client.execute(
            "update integrations set events = '[7]', revision = 1000 where id = $1", odd[0]["id"]
        )
        await client.execute(
            "update integrations set url = 'https://[', revision = 1000 where id = $1", odd[1]["id"]
        )
        await client.execute("update revision set value = 1000")

    sent = await service.send(an_event())

    outcomes = await service.settled(sent["eventId"])
    assert outcomes[sound["id"]]["status"] == "delivered"
    for each in odd:
        outcome = outcomes[each["id"]]
        assert (outcome["status"], outcome["reason"]) == ("failed", "internal")
    await service.stop()
    again = await together.start(RETRY_DELAYS="none")
    assert (await again.send(an_event(id="later")))["deliveries"] == 3
    await again.stop()
