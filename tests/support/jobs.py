"""Deliveries as a queue hands them out, for tests that have none."""

from uuid import UUID

from hookline.domain.access import Tenant
from hookline.domain.events import Event
from hookline.domain.ids import new_uuid
from hookline.queue.port import Claimed


def a_job(
    to: str = "int001", *, size: int = 10, lease: int = 1, identifier: UUID | None = None
) -> Claimed:
    """Return a claimed delivery with a payload of so many bytes."""
    event = Event("call-1", "000000000001", "it_w000001", 0, "call:start", b"x" * size, size)
    return Claimed(
        id=identifier or new_uuid(),
        lease=lease,
        event_id=new_uuid(),
        integration_id=to,
        attempts=0,
        claims=1,
        once=False,
        revision=1,
        event=event,
    )


def own_tenant(integration_id: str) -> Tenant:
    """Say that each integration is a PBX's own."""
    return Tenant(None, integration_id)
