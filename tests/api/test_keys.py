import pytest

from support.api_client import Api, Keys


async def test_no_key_is_asked_for_with_a_challenge(api: Api) -> None:
    answer = await api.get("/v1/event-types", key=None)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "/problems/not-authenticated"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic aGs6aGs=", "Bearer hk_short", "hk_" + "x" * 43, "Bearer \xff"],
)
async def test_what_is_no_key_is_refused(api: Api, header: str) -> None:
    sent = {b"Authorization": header.encode("latin-1")}
    answer = await api.client.get("/v1/event-types", headers=sent)
    assert answer.status_code == 401


async def test_a_wrong_an_expired_and_a_revoked_key_are_refused_alike(api: Api, keys: Keys) -> None:
    for key in ("hk_" + "x" * 43, await keys.expired(), await keys.revoked()):
        answer = await api.get("/v1/event-types", key=key)
        assert answer.status_code == 401
        assert answer.json()["detail"] == "This key is not known, has expired or was revoked."


async def test_a_key_is_known_and_revoked_at_once(api: Api, keys: Keys) -> None:
    key = await keys.admin()
    assert (await api.get("/v1/integrations", key=key)).status_code == 200
    newest, *_ = await keys.service.all()
    await keys.service.revoke(newest.id)
    assert (await api.get("/v1/integrations", key=key)).status_code == 401


async def test_an_ingest_key_reads_the_catalogue_and_nothing_else(api: Api, keys: Keys) -> None:
    key = await keys.ingest()
    assert (await api.get("/v1/event-types", key=key)).status_code == 200
    for path in ("/v1/integrations", "/v1/integrations/s95eum", "/v1/pbxs/000000000001"):
        assert (await api.get(path, key=key)).status_code == 403


async def test_a_manager_describes_no_pbx(api: Api, keys: Keys) -> None:
    key = await keys.manager(pbx="000000000001")
    described = {"company": "it_w000001", "license": "x-bees", "presenceEvents": True}
    answer = await api.put("/v1/pbxs/000000000001", described, key=key)
    assert answer.status_code == 403
    assert "admin" in answer.json()["detail"]
