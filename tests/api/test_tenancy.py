from dataclasses import dataclass

import pytest

from factories import Json, a_webhook
from support.api_client import Api, Keys

ALL = "/v1/integrations"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A company with a described PBX, and a key for each."""

    pbx: str
    company: str
    pbx_key: str
    company_key: str


async def tenant(api: Api, keys: Keys, number: int) -> Tenant:
    pbx, company = f"00000000{number:04}", f"it_w{number:06}"
    described = {"company": company, "license": "x-bees", "presenceEvents": True}
    assert (await api.put(f"/v1/pbxs/{pbx}", described)).status_code == 200
    pbx_key, company_key = await keys.manager(pbx=pbx), await keys.manager(company=company)
    return Tenant(pbx, company, pbx_key, company_key)


@pytest.fixture(scope="module")
async def here(api: Api, keys: Keys) -> Tenant:
    return await tenant(api, keys, 10)


@pytest.fixture(scope="module")
async def there(api: Api, keys: Keys) -> Tenant:
    return await tenant(api, keys, 20)


def unbound(**changes: object) -> Json:
    document = a_webhook(**changes)
    if "pbx" not in changes:
        del document["pbx"]
    return document


async def test_what_a_key_is_bound_to_is_filled_in(api: Api, here: Tenant) -> None:
    by_pbx = (await api.post(ALL, unbound(), key=here.pbx_key)).json()
    assert (by_pbx["pbx"], by_pbx["company"]) == (here.pbx, here.company)
    by_company = (await api.post(ALL, unbound(), key=here.company_key)).json()
    assert (by_company["pbx"], by_company["company"]) == (None, here.company)
    both = (await api.post(ALL, unbound(pbx=here.pbx), key=here.company_key)).json()
    assert (both["pbx"], both["company"]) == (here.pbx, here.company)
    by_admin = (await api.post(ALL, unbound(pbx=here.pbx))).json()
    assert (by_admin["pbx"], by_admin["company"]) == (here.pbx, here.company)


async def test_an_admin_must_say_whose_it_is(api: Api) -> None:
    answer = await api.post(ALL, unbound())
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == ["pbx", "company"]


async def test_a_manager_makes_nothing_for_another_tenant(
    api: Api, here: Tenant, there: Tenant
) -> None:
    for document, key, sentence in (
        (unbound(pbx=there.pbx), here.pbx_key, "only"),
        (unbound(company=there.company), here.company_key, "only"),
        (unbound(pbx=there.pbx), here.company_key, f"PUT /v1/pbxs/{there.pbx}"),
        (unbound(pbx="999999999999"), here.company_key, "PUT /v1/pbxs/999999999999"),
    ):
        answer = await api.post(ALL, document, key=key)
        assert answer.status_code == 403
        assert sentence in answer.json()["detail"]


async def test_a_company_that_contradicts_the_record_is_refused(
    api: Api, here: Tenant, there: Tenant
) -> None:
    for key in (here.pbx_key, ""):
        answer = await api.post(ALL, unbound(pbx=here.pbx, company=there.company), key=key)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["path"] == "company"


@pytest.mark.parametrize("foreign", ["pbx_key", "company_key"])
async def test_another_tenants_integration_does_not_exist(
    api: Api, here: Tenant, there: Tenant, foreign: str
) -> None:
    made = (await api.post(ALL, unbound(), key=there.pbx_key)).json()
    path = f"{ALL}/{made['id']}"
    key = getattr(here, foreign)
    for method, address, document in (
        ("GET", path, None),
        ("PATCH", path, {"name": "stolen"}),
        ("DELETE", path, None),
        ("GET", f"{path}/secret", None),
        ("POST", f"{path}/rotate-secret", {}),
        ("POST", f"{path}/test", {"type": "call:completed"}),
    ):
        answer = await api.request(method, address, json=document, key=key)
        assert answer.status_code == 404
        assert answer.json()["type"] == "/problems/not-found"
    listed = (await api.get(f"{ALL}?pbx={there.pbx}", key=key)).json()
    assert listed["items"] == []
    assert (await api.get(path, key=there.company_key)).status_code == 200


async def test_another_tenants_pbx_does_not_exist(api: Api, here: Tenant, there: Tenant) -> None:
    for key in (here.pbx_key, here.company_key):
        assert (await api.get(f"/v1/pbxs/{there.pbx}", key=key)).status_code == 404
        assert (await api.get(f"/v1/pbxs/{here.pbx}", key=key)).status_code == 200
        put = {"company": here.company, "license": "x-bees", "presenceEvents": True}
        assert (await api.put(f"/v1/pbxs/{there.pbx}", put, key=key)).status_code == 403


async def test_a_claimed_company_counts_once_the_record_confirms_it(api: Api, keys: Keys) -> None:
    pbx, company = "000000000031", "it_w000031"
    claimant, manager = await keys.manager(pbx=pbx), await keys.manager(company=company)
    made = (await api.post(ALL, unbound(company=company), key=claimant)).json()
    nameless = (await api.post(ALL, unbound(), key=claimant)).json()
    assert (made["company"], nameless["company"]) == (company, None)
    path = f"{ALL}/{made['id']}"
    assert (await api.get(path, key=manager)).status_code == 404
    described = {"company": company, "license": "collaboration", "presenceEvents": False}
    await api.put(f"/v1/pbxs/{pbx}", described)
    assert (await api.get(path, key=manager)).status_code == 200
    assert (await api.get(f"{ALL}/{nameless['id']}")).json()["company"] == company
    await api.put(f"/v1/pbxs/{pbx}", described | {"company": "it_w000032"})
    for key in (manager, claimant):
        moved = (await api.get(path, key=key)).json()
        assert (moved["company"], moved["enabled"]) == (company, False)


async def test_a_pbx_is_read_as_it_was_described(api: Api) -> None:
    described = {"company": "it_w000040", "license": "collaboration", "presenceEvents": True}
    put = await api.put("/v1/pbxs/000000000040", described)
    record = put.json()
    filled_in = {"pbx": "000000000040", "retentionDays": None, "updatedAt": record["updatedAt"]}
    assert record == described | filled_in
    assert (await api.get("/v1/pbxs/000000000040")).json() == record
    assert (await api.get("/v1/pbxs/000000000041")).status_code == 404
