"""Integrations as the REST API shows them: the documents, and what makes them of rows."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    Field,
)
from typing_extensions import TypeAliasType

from hookline.db.models import Integration as Row
from hookline.db.models import IntegrationHealth as HealthRow
from hookline.domain import stored
from hookline.domain.catalogue import Catalogue
from hookline.domain.deliveries import ErrorKind
from hookline.domain.filters import parse_filter
from hookline.domain.health import HealthState
from hookline.domain.omissions import path_warnings
from hookline.domain.selection import restore_selection
from hookline.domain.stored import (
    disabled_reason_of,
    error_of,
    health_state_of,
    ordering_chosen,
)
from hookline.domain.targets import TransmissionType, ordering_of
from hookline.errors import FieldProblem
from hookline.integrations.encryption import (
    decrypt_headers,
    decrypt_secret,
    open_target,
    signing_along,
)
from hookline.integrations.fields import (
    DELIVERY_BY_GROUP,
    DELIVERY_EXAMPLES,
    MAX_IN_FLIGHT,
    RATE_LIMIT,
    SHOWN_OF_ACCESS_KEY,
    CompanyId,
    CustomHeaders,
    Document,
    EventPattern,
    EventSelection,
    IntegrationId,
    IntegrationName,
    Keep,
    MaxAge,
    MaxInFlight,
    OmitPaths,
    OrderingField,
    PbxSerial,
    RateLimit,
    RetryDelays,
    TargetUrl,
    TimestampField,
)
from hookline.security.secrets import KeyRing


class WebhookTransmission(Document):
    """Copies by HTTPS POST."""

    type: Literal[TransmissionType.WEBHOOK] = Field(description="An HTTPS webhook.")
    url: TargetUrl
    headers: CustomHeaders
    secret: str | None = Field(
        None,
        description="The signing secret, in the answer to the creation alone.",
        min_length=32,
        max_length=32,
        examples=["abcdefghijABCDEFGHIJ012345678901"],
        exclude_if=lambda value: value is None,
        pattern="^[A-Za-z0-9]{32}$",
    )


class SqsTransmission(Document):
    """Copies as messages to a queue of AWS SQS."""

    type: Literal[TransmissionType.AWS_SQS] = Field(description="A queue of AWS SQS.")
    url: TargetUrl
    access_key_id: str = Field(
        description="The last four characters of the AWS access key's id, to recognise it by.",
        min_length=4,
        max_length=4,
        examples=["MPLE"],
    )


Transmission = TypeAliasType(
    "Transmission",
    Annotated[
        WebhookTransmission | SqsTransmission,
        Field(discriminator="type", description="Where copies go, told apart by `type`."),
    ],
)


DisabledReason = TypeAliasType(
    "DisabledReason",
    Annotated[
        stored.DisabledReason,
        Field(
            description="`gone`: the target answered 410. `failing`: nothing got through for "
            "days. `manual`: somebody switched it off. `moved`: its PBX is another company's now. "
            "`unreadable`: its stored secrets or settings cannot be read, so its deliveries fail "
            "as `internal`; `enabled` is as it was. More reasons may be added."
        ),
    ],
)


class IntegrationHealth(Document):
    """The health of an integration."""

    state: HealthState = Field(
        description="`failing`: the last attempts failed. `paused`: they failed for so long that "
        "deliveries wait without attempts, and one probe goes now and then; the first success ends "
        "it. `disabled`: it gets no events until it is enabled. More states may be added."
    )
    failing_since: TimestampField | None = Field(
        description="Since when no delivery has got through; `null` where the last one did."
    )
    last_error: ErrorKind | None = Field(description="What went wrong when the state was reached.")
    last_error_at: TimestampField | None = Field(description="When that was.")
    next_probe_at: TimestampField | None = Field(
        description="From when on the next delivery is let through to a paused integration."
    )
    disabled_reason: DisabledReason | None = Field(
        description="Why it was switched off; `null` where it is on."
    )
    disabled_by: str | None = Field(
        description="The name of the key that switched it off; `hookline` if nobody did.",
        examples=["first admin key"],
    )
    disabled_at: TimestampField | None = Field(description="When it was switched off.")


def _is_left_out(value: object) -> bool:
    return value is None


class GroupDelivery(Document):
    """How the events of one group are delivered, where that is not as by default."""

    retry_delays: RetryDelays | None = Field(None, exclude_if=_is_left_out)
    max_age: MaxAge | None = Field(None, exclude_if=_is_left_out)
    keep: Keep | None = Field(None, exclude_if=_is_left_out)


DeliveryByGroup = TypeAliasType(
    "DeliveryByGroup",
    Annotated[
        dict[str, GroupDelivery], Field(description=DELIVERY_BY_GROUP, examples=DELIVERY_EXAMPLES)
    ],
)


class FieldWarning(Document):
    """What may be wrong in a document that was taken as it is."""

    path: str = Field(
        description="Where it is, from the document's root.",
        examples=["filter.data.flows.directon"],
    )
    message: str = Field(
        description="What to look at.",
        examples=["No example of the chosen event types has data.flows.directon; did you mean …"],
    )


class Integration(Document):
    """An integration: whose events it wants, which of them, and where its copies go."""

    id: IntegrationId
    pbx: PbxSerial | None = Field(description="The PBX whose events it gets.")
    company: CompanyId | None = Field(description="The company whose events without a PBX it gets.")
    name: IntegrationName
    enabled: bool = Field(description="Whether it gets events.")
    transmission: Transmission
    events: EventSelection
    filter: EventPattern | None = Field(description="Which of the chosen events pass; `null`: all.")
    omit: OmitPaths
    delivery: DeliveryByGroup
    ordering: OrderingField
    max_in_flight: MaxInFlight | None = Field(description=MAX_IN_FLIGHT, examples=[None])
    rate_limit: RateLimit | None = Field(description=RATE_LIMIT, examples=[20])
    health: IntegrationHealth
    version: int = Field(
        ge=1,
        strict=True,
        description='Counts the changes; in quotes, as `"3"`, it is what `If-Match` takes. The '
        "health is no part of it.",
        examples=[3],
    )
    created_at: TimestampField = Field(description="When it was created.")
    updated_at: TimestampField = Field(description="When it was last changed.")
    warnings: list[FieldWarning] | None = Field(
        None,
        description="What may be wrong: paths of `filter` and `omit` that no example of a chosen "
        "event type has. In the answers of creations and changes alone, and only if there is any.",
        exclude_if=lambda value: not value,
    )


def shown_warnings(found: Iterable[FieldProblem]) -> list[FieldWarning]:
    """Return warnings as answers show them."""
    return [FieldWarning(path=each.path, message=each.message) for each in found]


class IntegrationPage(Document):
    """One page of integrations, newest first."""

    items: list[Integration] = Field(description="The page's integrations.")
    next: str | None = Field(description="The `cursor` of the next page; `null` on the last one.")


class SigningSecret(Document):
    """The secret that signs a webhook's copies."""

    secret: str = Field(
        description="Its UTF-8 bytes key `x-signature`.",
        examples=["abcdefghijABCDEFGHIJ012345678901"],
    )
    standard_webhooks_secret: str = Field(
        description="The same secret as the Standard Webhooks libraries take it.",
        examples=["whsec_abcdefghijABCDEFGHIJ012345678901"],
    )
    old_secret_until: TimestampField | None = Field(
        description="Until when the last of the secrets from before rotations signs along in "
        "`webhook-signature`; `null` where none does."
    )


@dataclass(frozen=True, slots=True)
class Listed:
    """An integration as it is shown, and its place in lists."""

    integration: Integration
    sequence: UUID


class Serializer:
    """Shows rows; decrypts secrets where that is to be seen."""

    def __init__(self, keyring: KeyRing, catalogue: Catalogue) -> None:
        self._keyring = keyring
        self._catalogue = catalogue

    def integration(
        self,
        row: Row,
        health: HealthRow | None = None,
        *,
        with_secret: bool = False,
        with_warnings: bool = False,
    ) -> Listed:
        """Return what is shown of a row; a webhook's secret and warnings only if asked for.

        A row that cannot be read is shown as far as it can be, with a health that says so: it must
        not cost a list the others. Why it cannot, the snapshot's log says.
        """
        try:
            open_target(row, self._keyring, datetime.now(UTC))  # what sending to it needs
            shown = self._readable(row, health, with_secret=with_secret)
            if with_warnings:
                shown.warnings = self._warnings(row)
            return Listed(shown, row.sequence)
        except Exception:
            if with_secret:
                raise
            return Listed(self._unreadable(row), row.sequence)

    def _readable(self, row: Row, health: HealthRow | None, *, with_secret: bool) -> Integration:
        return Integration(
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

    def _warnings(self, row: Row) -> list[FieldWarning]:
        selection = restore_selection(row.events, self._catalogue)
        chosen = (each for each in self._catalogue.types if selection.wants(each.name, each.group))
        pattern = None if row.filter is None else parse_filter(json.loads(row.filter))
        return shown_warnings(path_warnings(pattern, row.omit, chosen))

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
        secret = decrypt_secret(row, self._keyring)
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
            type=TransmissionType.WEBHOOK, url=row.url, headers=decrypt_headers(row, self._keyring)
        )
        if with_secret:
            shown.secret = decrypt_secret(row, self._keyring)
        return shown


def _closed_transmission(row: Row) -> Transmission:
    """Return a transmission without what is encrypted."""
    if row.type == TransmissionType.AWS_SQS:
        ending = (row.access_key_id or "")[-SHOWN_OF_ACCESS_KEY:]
        return SqsTransmission.model_construct(
            type=TransmissionType.AWS_SQS, url=row.url, access_key_id=ending
        )
    return WebhookTransmission.model_construct(
        type=TransmissionType.WEBHOOK, url=row.url, headers={}, secret=None
    )


def _health(row: Row, health: HealthRow | None) -> IntegrationHealth:
    """Show an integration's health; one that is switched off keeps why it failed."""
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
