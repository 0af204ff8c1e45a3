import pytest

from factories import Json, a_queue, a_webhook
from support.api_client import Api


async def make(api: Api, document: Json | None = None) -> Json:
    answer = await api.post("/v1/integrations", document or a_webhook())
    made: Json = answer.json()
    return made


async def test_the_secret_is_shown_and_rotated_and_both_sign_for_a_while(api: Api) -> None:
    made = await make(api)
    path = f"/v1/integrations/{made['id']}"
    first = made["transmission"]["secret"]
    assert (await api.get(f"{path}/secret")).json() == {
        "secret": first,
        "standardWebhooksSecret": f"whsec_{first}",
        "oldSecretUntil": None,
    }
    rotated = (await api.post(f"{path}/rotate-secret", {"gracePeriodHours": 2})).json()
    assert rotated["secret"] != first
    assert rotated["oldSecretUntil"] is not None
    assert (await api.get(f"{path}/secret")).json() == rotated
    at_once = (await api.post(f"{path}/rotate-secret", {"gracePeriodHours": 0})).json()
    assert at_once["oldSecretUntil"] is None
    null = (await api.post(f"{path}/rotate-secret", {"gracePeriodHours": None})).json()
    assert null["oldSecretUntil"] is not None, "null is the default, as without a body"
    assert (await api.request("POST", f"{path}/rotate-secret")).json()["oldSecretUntil"] is not None


@pytest.mark.parametrize("hours", [-1, 721, 1.5, "24"])
async def test_a_malformed_grace_period_is_refused(api: Api, hours: object) -> None:
    made = await make(api)
    path = f"/v1/integrations/{made['id']}/rotate-secret"
    answer = await api.post(path, {"gracePeriodHours": hours})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "gracePeriodHours"


async def test_a_queue_has_no_secret_to_show_or_rotate(api: Api) -> None:
    made = await make(api, a_queue())
    path = f"/v1/integrations/{made['id']}"
    for answer in (await api.get(f"{path}/secret"), await api.post(f"{path}/rotate-secret")):
        assert answer.status_code == 409
        assert "transmission.secretAccessKey" in answer.json()["detail"]
