import asyncio

import pytest

from factories import an_event
from hookline.api.dependencies import Services
from hookline.dispatch.ingest_authorisation import IngestAuthorisation
from hookline.domain.events import Limits, parse_event
from hookline.errors import NotAuthenticated
from hookline.integrations.key_cache import KeyCache
from hookline.integrations.revision import Transactions
from support.api_client import Api, Keys
from support.event_history import a_pbx, an_integration, send

PATH = "/v1/events"


async def status(api: Api, key: str | None, **changes: object) -> int:
    answer = await api.post(PATH, an_event(**changes), key=key)
    return answer.status_code


async def count(api: Api, pbx: str) -> int:
    return len((await api.get(f"{PATH}?pbx={pbx}")).json()["items"])


async def test_missing_wrong_expired_and_revoked_keys_are_refused(api: Api, keys: Keys) -> None:
    pbx = a_pbx()
    for key in (None, "hk_" + "x" * 43, await keys.expired(), await keys.revoked()):
        answer = await api.post(PATH, an_event(pbx=pbx), key=key)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert await count(api, pbx) == 0


async def test_a_key_that_was_used_is_refused_once_it_is_revoked(api: Api, keys: Keys) -> None:
    pbx = a_pbx()
    key = await keys.ingest()
    assert await status(api, key, pbx=pbx) == 202
    await keys.revoke_newest()
    assert await status(api, key, pbx=pbx, time=2) == 401
    batch = await api.post(f"{PATH}/batch", {"events": [an_event(pbx=pbx, time=3)]}, key=key)
    assert batch.status_code == 401
    assert await count(api, pbx) == 1


async def test_a_key_revoked_while_its_event_is_let_in_is_refused(
    services: Services, transactions: Transactions, keys: Keys, api: Api
) -> None:
    pbx = a_pbx()
    cache = KeyCache(transactions)
    key = await keys.ingest(pbx=pbx)
    sender = await IngestAuthorisation(
        cache, services.retries._subscriptions, services.rate_limits.charge_cpu
    ).authorise(await cache.authenticate_from_memory(f"Bearer {key}"))
    event = sender.route(
        parse_event(b'{"id":"1","company":"c","time":1,"type":"a:b","data":{}}', Limits())
    )
    await keys.revoke_newest()
    others = [send(api, pbx=a_pbx()) for _ in range(3)]
    refused = sender.send(services.ingest, [event])
    outcome, *sent = await asyncio.gather(refused, *others, return_exceptions=True)
    assert isinstance(outcome, NotAuthenticated)
    assert not any(isinstance(each, BaseException) for each in sent)
    assert await count(api, pbx) == 0


async def test_a_manager_sends_no_events(api: Api, keys: Keys) -> None:
    assert await status(api, await keys.manager(pbx="000000000001")) == 403


async def test_the_keys_pbx_routes_an_event_that_names_none(api: Api, keys: Keys) -> None:
    pbx = a_pbx()
    await an_integration(api, pbx=pbx, events={"conference": "all"})
    key = await keys.ingest(pbx=pbx)
    receipt = await send(api, key=key, pbx=None, type="conference:live:join")
    assert receipt["deliveries"] == 1
    record = (await api.get(f"{PATH}/{receipt['eventId']}")).json()
    assert "pbx" not in record["event"]
    assert (await api.get(f"{PATH}?pbx={pbx}")).json()["items"][0]["pbx"] == pbx


async def test_another_pbxs_event_is_refused_and_not_stored(api: Api, keys: Keys) -> None:
    own, other = a_pbx(), a_pbx()
    key = await keys.ingest(pbx=own)
    assert await status(api, key, pbx=other) == 403
    assert await count(api, other) == 0


async def test_a_companys_key_sends_that_companys_events_alone(api: Api, keys: Keys) -> None:
    company, pbx = a_pbx(), a_pbx()
    key = await keys.ingest(company=company)
    assert await status(api, key, company=company, pbx=pbx) == 403
    document = {"company": company, "license": "x-bees"}
    assert (await api.put(f"/v1/pbxs/{pbx}", document)).status_code == 200
    assert await status(api, key, company=company, pbx=pbx) == 202
    assert await status(api, key, company=company, pbx=None) == 202
    assert await status(api, key, company="another", pbx=pbx) == 403
    assert await status(api, key, company="another", pbx=None) == 403


@pytest.mark.parametrize("path", [PATH, f"{PATH}/batch"])
async def test_a_pbx_described_as_anothers_is_refused_from_that_moment(
    api: Api, keys: Keys, path: str
) -> None:
    company, pbx = a_pbx(), a_pbx()
    key = await keys.ingest(company=company)
    document = {"company": "another", "license": "x-bees"}
    assert (await api.put(f"/v1/pbxs/{pbx}", document)).status_code == 200
    event = an_event(company=company, pbx=pbx)
    if path == PATH:
        assert (await api.post(path, event, key=key)).status_code == 403
    else:
        own = an_event(company=company, pbx=None)
        answer = await api.post(path, {"events": [event, own]}, key=key)
        statuses = [each["status"] for each in answer.json()["results"]]
        assert statuses == ["invalid", "accepted"]
    assert await count(api, pbx) == 0
