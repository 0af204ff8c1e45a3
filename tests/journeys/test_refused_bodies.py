"""What is refused leaves nothing behind: not until the garbage collector looks, either."""

import json

import pytest

from support.attacks import MIB, resident
from support.service import Services

PBX = "000000000001"
TIMES = 60
BESIDES = 32 * MIB
TEXT = "x" * 900_000
UNFINISHED = json.dumps({"id": "1", "pbx": PBX, "data": {"text": TEXT}})[:-1]
WRONG_EVENT = json.dumps({"id": "1", "pbx": PBX, "data": {"text": TEXT}})
WRONG_FILTER = json.dumps(
    {"filter": {"data": {"no array": TEXT[:3_000]}}, "events": [{"data": {"text": TEXT[:500_000]}}]}
)
WRONG_INTEGRATION = json.dumps({"pbx": PBX, "name": TEXT[:60_000]})


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("/v1/events", UNFINISHED, 400, id="no JSON"),
        pytest.param("/v1/events", WRONG_EVENT, 422, id="no event"),
        pytest.param("/v1/filters/try", WRONG_FILTER, 422, id="a wrong filter"),
        pytest.param("/v1/integrations", WRONG_INTEGRATION, 422, id="a wrong integration"),
    ],
)
async def test_refused_bodies_are_not_kept(
    together: Services, path: str, body: str, status: int
) -> None:
    service = await together.start()

    async def send() -> None:
        answer = await service.api.request(
            "POST", path, content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == status, answer.text

    await send()
    before = resident(service)
    for _ in range(TIMES):
        await send()
    assert resident(service) - before < BESIDES
