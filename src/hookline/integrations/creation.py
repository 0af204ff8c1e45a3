"""What a new integration is made of."""

from dataclasses import dataclass
from datetime import UTC, datetime

from hookline.db.models import Integration as Row
from hookline.domain.ids import new_uuid, new_webhook_secret
from hookline.domain.targets import Ordering
from hookline.integrations.checks import Checks
from hookline.integrations.encryption import seal_headers, secret_binding
from hookline.integrations.patch import host_name, switch
from hookline.integrations.requests import IntegrationCreate, SqsTransmissionCreate
from hookline.security.secrets import KeyRing


@dataclass(frozen=True, slots=True)
class Checked:
    """What of a new integration is kept in another form than it was given."""

    events: dict[str, str | list[str]]
    filter: str | None  # JSON text
    omit: list[str]


async def check_new(new: IntegrationCreate, checks: Checks) -> Checked:
    """Return what is to be kept; raise InvalidInput with every field that is wrong."""
    transmission = new.transmission
    await checks.url(transmission.type, transmission.url)
    if not isinstance(transmission, SqsTransmissionCreate):
        checks.headers(transmission.headers)
    checks.ordering(transmission.type, transmission.url, new.ordering)
    checks.groups("delivery", new.delivery)
    events = checks.events(new.events)
    pattern = checks.filter(new.filter)
    omit = checks.omit(new.omit)
    checks.raise_any()
    return Checked(events or {}, pattern, omit)


def row_of(
    new: IntegrationCreate, checked: Checked, integration_id: str, keyring: KeyRing, *, by: str
) -> Row:
    """Return the row of a checked integration; its tenancy and revision are to be added."""
    now = datetime.now(UTC)
    transmission = new.transmission
    if isinstance(transmission, SqsTransmissionCreate):
        secret, headers, key_id = transmission.secret_access_key, {}, transmission.access_key_id
    else:
        secret, headers, key_id = new_webhook_secret(), transmission.headers, None
    row = Row(
        id=integration_id,
        sequence=new_uuid(),
        name=new.name or host_name(transmission.url),
        named=new.name is not None,
        enabled=True,
        type=transmission.type.value,
        url=transmission.url,
        access_key_id=key_id,
        headers=seal_headers(headers, integration_id, keyring),
        secret=keyring.seal(secret, bound_to=secret_binding(integration_id)),
        events=checked.events,
        filter=checked.filter,
        omit=checked.omit,
        delivery={
            group: parts
            for group, asked in new.delivery.items()
            if (parts := asked.model_dump(mode="json", by_alias=True, exclude_none=True))
        },
        ordering=new.ordering or Ordering.NONE,
        old_secrets=[],
        old_secrets_until=[],
        max_in_flight=new.max_in_flight,
        rate_limit=new.rate_limit,
        version=1,
        created_at=now,
        updated_at=now,
    )
    switch(row, enabled=new.enabled, reason="manual", by=by)
    return row
