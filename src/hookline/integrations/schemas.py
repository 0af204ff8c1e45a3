"""Integrations and PBXs as the REST API shows them."""

from typing import Annotated, Literal

from pydantic import (
    Field,
)
from typing_extensions import TypeAliasType

from hookline.domain import stored
from hookline.domain.deliveries import ErrorKind
from hookline.domain.health import HealthState
from hookline.domain.targets import TransmissionType
from hookline.integrations.fields import (
    DELIVERY_BY_GROUP,
    DELIVERY_EXAMPLES,
    RATE_LIMIT,
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
    Moment,
    OmitPaths,
    OrderingField,
    PbxSerial,
    RateLimit,
    RetryDelays,
    TargetUrl,
)
from hookline.integrations.requests import PbxFields


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
    """How an integration fares."""

    state: HealthState = Field(
        description="`failing`: the last attempts failed. `paused`: they failed for so long that "
        "deliveries wait without attempts, and one probe goes now and then; the first success ends "
        "it. `disabled`: it gets no events until it is enabled. More states may be added."
    )
    failing_since: Moment | None = Field(
        description="Since when no delivery has got through; `null` where the last one did."
    )
    last_error: ErrorKind | None = Field(description="What went wrong when the state was reached.")
    last_error_at: Moment | None = Field(description="When that was.")
    next_probe_at: Moment | None = Field(
        description="From when on the next delivery is let through to a paused integration."
    )
    disabled_reason: DisabledReason | None = Field(
        description="Why it was switched off; `null` where it is on."
    )
    disabled_by: str | None = Field(
        description="The name of the key that switched it off; `hookline` if nobody did.",
        examples=["first admin key"],
    )
    disabled_at: Moment | None = Field(description="When it was switched off.")


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
    max_in_flight: MaxInFlight
    rate_limit: RateLimit | None = Field(description=RATE_LIMIT, examples=[20])
    health: IntegrationHealth
    version: int = Field(
        ge=1,
        strict=True,
        description='Counts the changes; in quotes, as `"3"`, it is what `If-Match` takes. The '
        "health is no part of it.",
        examples=[3],
    )
    created_at: Moment = Field(description="When it was created.")
    updated_at: Moment = Field(description="When it was last changed.")


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
    old_secret_until: Moment | None = Field(
        description="Until when the last of the secrets from before rotations signs along in "
        "`webhook-signature`; `null` where none does."
    )


class PbxRecord(PbxFields):
    """A PBX, its company and its licence."""

    pbx: PbxSerial
    presence_events: bool = Field(
        description="Whether a `collaboration` PBX sends presence events."
    )
    updated_at: Moment = Field(description="When the description was last changed.")


class PbxPage(Document):
    """One page of PBX records, those that were described last first."""

    items: list[PbxRecord] = Field(description="The page's records.")
    next: str | None = Field(description="The `cursor` of the next page; `null` on the last one.")
