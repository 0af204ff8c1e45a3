"""Which ciphertext belongs to which field of which integration, and how a target is opened.

Every sealed value is bound to its row and its field: copied elsewhere, it doesn't open.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import orjson

from hookline.domain.targets import SqsTarget, Target, TransmissionType, WebhookTarget, host_of
from hookline.security.secrets import KeyRing


class SealedTransmission(Protocol):
    """The columns of `integrations` that say where its copies go."""

    @property
    def id(self) -> str:
        """The integration's id."""

    @property
    def type(self) -> str:
        """One of TransmissionType's values."""

    @property
    def url(self) -> str:
        """The endpoint's or queue's URL."""

    @property
    def access_key_id(self) -> str | None:
        """The AWS access key's id."""

    @property
    def headers(self) -> bytes | None:
        """The customer's headers, sealed."""

    @property
    def secret(self) -> bytes | None:
        """The current signing secret, sealed."""

    @property
    def old_secrets(self) -> Sequence[bytes]:
        """The secrets from before rotations, sealed, the newest first."""

    @property
    def old_secrets_until(self) -> Sequence[datetime]:
        """Until when each of them signs along."""


def secret_binding(integration_id: str) -> str:
    """Return what a sealed secret is bound to: the webhook's, or the AWS secret access key."""
    return f"integrations/{integration_id}/secret"


def old_secret_binding(integration_id: str) -> str:
    """Return what a sealed secret from before a rotation is bound to."""
    return f"integrations/{integration_id}/old_secret"


def headers_binding(integration_id: str) -> str:
    """Return what the sealed headers are bound to."""
    return f"integrations/{integration_id}/headers"


def seal_headers(headers: Mapping[str, str], integration_id: str, keyring: KeyRing) -> bytes | None:
    """Seal the customer's headers, in their order; None where there are none."""
    if not headers:
        return None
    document = orjson.dumps(dict(headers)).decode()
    return keyring.seal(document, bound_to=headers_binding(integration_id))


def open_headers(row: SealedTransmission, keyring: KeyRing) -> dict[str, str]:
    """Open the customer's headers; raise BrokenSeal where they don't open."""
    if row.headers is None:
        return {}
    document = keyring.open(row.headers, bound_to=headers_binding(row.id))
    opened: dict[str, str] = orjson.loads(document)
    return opened


def open_secret(row: SealedTransmission, keyring: KeyRing) -> str:
    """Open the current secret; raise BrokenSeal where it doesn't open, or was wiped."""
    return keyring.open(row.secret or b"", bound_to=secret_binding(row.id))


def open_target(row: SealedTransmission, keyring: KeyRing, now: datetime) -> Target:
    """Open everything that sending to the integration needs.

    `now` decides which old secrets still sign along. Raises BrokenSeal, or ValueError for a
    row that was damaged: of no known type, or without a URL.
    """
    kind = TransmissionType(row.type)
    if host_of(row.url) is None:
        raise ValueError(f"the URL of integration {row.id} names no host")
    secret = open_secret(row, keyring)
    if kind is TransmissionType.AWS_SQS:
        return SqsTarget(row.url, row.access_key_id or "", secret)
    old = signing_along(row, now)
    bound_to = old_secret_binding(row.id)
    return WebhookTarget(
        row.url,
        secrets=(secret, *(keyring.open(sealed, bound_to=bound_to) for sealed, _ in old)),
        headers=tuple(open_headers(row, keyring).items()),
        until=tuple(until for _, until in old),
    )


def signing_along(row: SealedTransmission, now: datetime) -> list[tuple[bytes, datetime]]:
    """Return the old secrets whose time is not over, sealed, each with when it will be."""
    old = zip(row.old_secrets, row.old_secrets_until, strict=True)
    return [(sealed, until) for sealed, until in old if until > now]
