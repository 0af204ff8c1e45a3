"""The test button of an AWS_SQS integration, at the real server: what a customer is told of it."""

from collections.abc import AsyncIterator

import pytest

from factories import SECRET_ACCESS_KEY, Json, a_queue
from support.service import Service, Services
from support.sqs_fake import FakeSqs, error, resetting
from support.sqs_shipments import is_signed

QUEUE = "pbx-events"
TESTED = "call:completed"


@pytest.fixture
async def fake() -> AsyncIterator[FakeSqs]:
    async with FakeSqs.serve() as opened:
        yield opened


@pytest.fixture
async def service(together: Services, fake: FakeSqs) -> Service:
    return await together.start(SQS_ENDPOINT_URL=fake.url)


async def pressed(service: Service, integration: str) -> Json:
    answer = await service.api.post(f"/v1/integrations/{integration}/test", {"type": TESTED})
    assert answer.status_code == 200, answer.text
    assert SECRET_ACCESS_KEY not in answer.text
    result: Json = answer.json()
    return result


async def test_each_outcome_of_one_test_message_is_told_in_full(
    service: Service, fake: FakeSqs
) -> None:
    made = await service.api.post("/v1/integrations", a_queue())
    integration = made.json()["id"]

    result = await pressed(service, integration)
    assert (result["eventType"], result["attempt"]["outcome"]) == (TESTED, "delivered")
    assert result["attempt"]["statusCode"] == 200
    assert result["attempt"]["responseBody"].startswith("MessageId ")
    [entry] = fake.taken[QUEUE]
    assert entry["MessageBody"] == result["body"]
    attributes = entry["MessageAttributes"]
    assert result["headers"] == {name: each["StringValue"] for name, each in attributes.items()}
    signature = result["headers"]["X-SIGNATURE"]
    assert is_signed(result["body"], signature, SECRET_ACCESS_KEY)

    fake.misbehave(error("AccessDeniedException", "not allowed to send"))
    refused = await pressed(service, integration)
    assert (refused["attempt"]["outcome"], refused["attempt"]["statusCode"]) == ("rejected", 400)
    assert "not allowed to send" in refused["attempt"]["responseBody"]

    fake.misbehave(error("ThrottlingException", "slow down"))
    throttled = await pressed(service, integration)
    assert throttled["attempt"]["outcome"] == "retry"

    fake.misbehave(resetting)
    lost = await pressed(service, integration)
    assert lost["attempt"]["outcome"] == "retry"
    assert lost["attempt"]["error"] in {"reset", "protocol"}

    assert len(fake.calls) == 4, "one attempt each"
    listed = await service.read(f"/v1/deliveries?integrationId={integration}")
    assert listed["items"] == [], "a test is no delivery"
