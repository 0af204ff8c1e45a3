"""Events and deliveries for tests that read them: sent over HTTP, settled through the queue."""

import secrets
from datetime import UTC, datetime
from uuid import UUID

from factories import Json, a_webhook, an_event
from hookline.domain.deliveries import Delivered, ErrorKind, Outcome, Sent, Verdict
from hookline.queue.port import Claimed, Lane, Queue, Settlement
from support.api_client import Api

STARTED = datetime(2026, 1, 31, 12, tzinfo=UTC)


def a_pbx() -> str:
    """Return the serial of a PBX that no other test uses."""
    return secrets.token_hex(6)


async def an_integration(api: Api, **changes: object) -> str:
    answer = await api.post("/v1/integrations", a_webhook(**changes))
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["id"]
    return made


async def send(api: Api, *, key: str = "", **changes: object) -> Json:
    """Send one event and return its receipt."""
    answer = await api.post("/v1/events", an_event(**changes), key=key)
    assert answer.status_code == 202, answer.text
    receipt: Json = answer.json()
    return receipt


async def claim(queue: Queue, integration_id: str) -> list[Claimed]:
    return await queue.claim([Lane(integration_id, 100)], most_bytes=16 * 1024 * 1024)


async def settle(
    queue: Queue,
    integration_id: str,
    outcome: Outcome | None = None,
    *,
    status_code: int = 200,
    response: bytes = b"",
) -> list[UUID]:
    """Claim what is due for an integration, attempt it as told, and return the delivery ids."""
    jobs = await claim(queue, integration_id)
    ended = outcome or Delivered()
    well = isinstance(ended, Delivered)
    sent = Sent(
        verdict=Verdict.DELIVERED if well else Verdict.RETRY,
        started_at=STARTED,
        duration_ms=41,
        error=None if well else ErrorKind.STATUS,
        status_code=status_code,
        response=response,
    )
    await queue.settle([Settlement(j.id, j.lease, ended, j.attempts + 1, sent) for j in jobs])
    return [job.id for job in jobs]
