"""Copies without what their receiver shall not have, or cannot take."""

import hmac
import json
from hashlib import sha256

from factories import an_event
from support.receivers import OK, answering, receiving, status
from support.service import Service

DATA = {"direction": "INBOUND", "flows": [{"caller": {"phone": "230", "name": "John"}}], "text": 1}
SHORT = {"direction": "INBOUND", "flows": [{"caller": {"name": "John"}}]}


async def test_every_attempt_of_a_delivery_leaves_out_what_its_first_one_did(
    service: Service,
) -> None:
    retried = answering(status(404), status(503), OK)
    async with receiving(retried) as private, receiving() as other, receiving() as tested:
        omit = ["data.flows.*.caller.phone", "data.text", "data.nothing"]
        made = await service.an_integration(private, omit=omit)
        path = f"/v1/integrations/{made['id']}"
        await service.an_integration(other)
        assert made["omit"] == omit

        sent = await service.send(an_event(data=DATA))
        outcomes = await service.settled(sent["eventId"])
        delivery = outcomes[made["id"]]
        assert (delivery["status"], delivery["reason"]) == ("failed", "rejected")
        changed = await service.api.patch(path, {"omit": ["data.direction"]})
        assert changed.json()["omit"] == ["data.direction"]
        again = await service.api.post(f"/v1/deliveries/{delivery['deliveryId']}/retry")
        assert again.is_success
        await private.until_asked(2)

        first, second = private.requests
        assert json.loads(first.body)["data"] == SHORT
        assert first.body == second.body
        [whole] = other.requests
        assert json.loads(whole.body)["data"] == DATA
        secret = made["transmission"]["secret"].encode()
        assert first.headers["x-signature"] == hmac.new(secret, first.body, sha256).hexdigest()

        url = f"http://127.0.0.1:{tested.port}/"
        pattern = {"data": {"flows": {"direction": ["NONE"]}}}
        await service.api.patch(
            path, {"transmission": {"url": url}, "filter": pattern, "omit": ["data.flows"]}
        )
        result = (await service.api.post(f"{path}/test", {"type": "call:completed"})).json()
        assert result["filteredBy"] == "data.flows"
        assert "flows" not in json.loads(result["body"])["data"]
        [request] = tested.requests
        assert request.body.decode() == result["body"]
        assert request.headers == result["headers"]
