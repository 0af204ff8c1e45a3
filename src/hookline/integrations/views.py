"""Rows in, what the REST API shows out."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from hookline.db.models import Integration as Row
from hookline.db.models import IntegrationHealth as HealthRow
from hookline.domain.catalogue import Catalogue
from hookline.domain.health import HealthState
from hookline.domain.selection import restore_selection
from hookline.domain.stored import (
    disabled_reason_of,
    error_of,
    health_state_of,
    ordering_chosen,
)
from hookline.domain.targets import TransmissionType, ordering_of
from hookline.integrations.fields import SHOWN_OF_ACCESS_KEY
from hookline.integrations.schemas import (
    Integration,
    IntegrationHealth,
    SigningSecret,
    SqsTransmission,
    Transmission,
    WebhookTransmission,
)
from hookline.integrations.sealing import (
    open_headers,
    open_secret,
    open_target,
    signing_along,
)
from hookline.security.secrets import KeyRing


@dataclass(frozen=True, slots=True)
class Listed:
    """An integration as it is shown, and its place in lists."""

    integration: Integration
    sequence: UUID


class Views:
    """Shows rows; opens what is sealed where that is to be seen."""

    def __init__(self, keyring: KeyRing, catalogue: Catalogue) -> None:
        self._keyring = keyring
        self._catalogue = catalogue

    def integration(
        self, row: Row, health: HealthRow | None = None, *, with_secret: bool = False
    ) -> Listed:
        """Return what is shown of a row; a webhook's secret only where it is asked for.

        A row that cannot be read is shown as far as it can be, with a health that says so: it must
        not cost a list the others. Why it cannot, the snapshot's log says.
        """
        try:
            open_target(row, self._keyring, datetime.now(UTC))  # what sending to it needs
            return self._readable(row, health, with_secret=with_secret)
        except Exception:
            if with_secret:
                raise
            return Listed(self._unreadable(row), row.sequence)

    def _readable(self, row: Row, health: HealthRow | None, *, with_secret: bool) -> Listed:
        shown = Integration(
            id=row.id,
            pbx=row.pbx,
            company=row.company,
            name=row.name,
            enabled=row.enabled,
            transmission=self._transmission(row, with_secret=with_secret),
            events=restore_selection(row.events, self._catalogue).as_document(),
            filter=None if row.filter is None else json.loads(row.filter),
            omit=list(row.omit),
            delivery=row.delivery,
            ordering=ordering_of(
                TransmissionType(row.type), row.url, ordering_chosen(row.ordering)
            ),
            max_in_flight=row.max_in_flight,
            rate_limit=row.rate_limit,
            health=_health(row, health),
            version=row.version,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        return Listed(shown, row.sequence)

    def _unreadable(self, row: Row) -> Integration:
        """Return what is sound in a row; nothing is checked of what is said of it."""
        try:
            events = restore_selection(row.events, self._catalogue).as_document()
        except Exception:  # noqa: BLE001 - whatever is wrong with it, it shows no choice
            events = {}
        return Integration.model_construct(
            id=row.id,
            pbx=row.pbx,
            company=row.company,
            name=row.name,
            enabled=row.enabled,
            transmission=_closed_transmission(row),
            events=events,
            filter=None,
            omit=list(row.omit),
            delivery={},
            ordering=ordering_chosen(row.ordering),
            max_in_flight=row.max_in_flight,
            rate_limit=row.rate_limit,
            health=IntegrationHealth(
                state=HealthState.DISABLED,
                failing_since=None,
                last_error=None,
                last_error_at=None,
                next_probe_at=None,
                disabled_reason="unreadable",
                disabled_by="hookline",
                disabled_at=None,
            ),
            version=row.version,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    def secret(self, row: Row) -> SigningSecret:
        """Return the secret of a webhook's row in both of its forms."""
        secret = open_secret(row, self._keyring)
        until = max((until for _, until in signing_along(row, datetime.now(UTC))), default=None)
        return SigningSecret(
            secret=secret,
            standard_webhooks_secret=f"whsec_{secret}",
            old_secret_until=until,
        )

    def _transmission(self, row: Row, *, with_secret: bool) -> Transmission:
        if row.type == TransmissionType.AWS_SQS:
            ending = (row.access_key_id or "")[-SHOWN_OF_ACCESS_KEY:]
            return SqsTransmission(type=TransmissionType.AWS_SQS, url=row.url, access_key_id=ending)
        shown = WebhookTransmission(
            type=TransmissionType.WEBHOOK, url=row.url, headers=open_headers(row, self._keyring)
        )
        if with_secret:
            shown.secret = open_secret(row, self._keyring)
        return shown


def _closed_transmission(row: Row) -> Transmission:
    """Return a transmission without what is sealed."""
    if row.type == TransmissionType.AWS_SQS:
        ending = (row.access_key_id or "")[-SHOWN_OF_ACCESS_KEY:]
        return SqsTransmission.model_construct(
            type=TransmissionType.AWS_SQS, url=row.url, access_key_id=ending
        )
    return WebhookTransmission.model_construct(
        type=TransmissionType.WEBHOOK, url=row.url, headers={}, secret=None
    )


def _health(row: Row, health: HealthRow | None) -> IntegrationHealth:
    """Show how an integration fares; one that is switched off keeps telling why it failed."""
    state = HealthState.HEALTHY if health is None else health_state_of(health.state)
    return IntegrationHealth.model_validate(
        {
            "state": state if row.enabled else HealthState.DISABLED,
            "failingSince": health and health.failing_since,
            "lastError": health and error_of(health.last_error),
            "lastErrorAt": health and health.last_error_at,
            "nextProbeAt": health.paused_until if health and row.enabled else None,
            "disabledReason": None if row.enabled else disabled_reason_of(row.disabled_reason),
            "disabledBy": None if row.enabled else row.disabled_by,
            "disabledAt": None if row.enabled else row.disabled_at,
        }
    )
