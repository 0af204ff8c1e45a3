"""What callers send to make and change integrations and PBXs.

A model checks shapes and bounds alone. What a value means (a URL, a header, a selection, a tenant)
is checked by the service, for all fields at once.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, model_validator
from typing_extensions import TypeAliasType

from hookline.domain.targets import TransmissionType
from hookline.integrations.fields import (
    DELIVERY_BY_GROUP,
    DELIVERY_EXAMPLES,
    HEADER_BOUNDS,
    MAX_IN_FLIGHT,
    NULL_IS_DEFAULT,
    NULLS_ARE_LEFT_OUT,
    RATE_LIMIT,
    RETENTION_DAYS,
    SHOWN_OF_ACCESS_KEY,
    AccessKeyId,
    CompanyId,
    CustomHeaders,
    EventPattern,
    EventSelection,
    EventSelectionPatch,
    IntegrationName,
    Keep,
    KeepPatch,
    MaxAge,
    MaxInFlight,
    OmitPaths,
    OrderingField,
    PbxSerial,
    RateLimit,
    RequestDocument,
    RetentionDays,
    RetryDelays,
    SecretAccessKey,
    Switch,
    TargetUrl,
)


class WebhookTransmissionCreate(RequestDocument):
    """Copies by HTTPS POST. Hookline makes the signing secret; the answer holds it."""

    type: Literal[TransmissionType.WEBHOOK] = Field(description="An HTTPS webhook.")
    url: TargetUrl
    headers: Annotated[CustomHeaders, NULLS_ARE_LEFT_OUT, NULL_IS_DEFAULT] = Field(
        default_factory=dict
    )


class SqsTransmissionCreate(RequestDocument):
    """Copies as messages to a queue of AWS SQS, sent with the customer's own AWS key."""

    type: Literal[TransmissionType.AWS_SQS] = Field(description="A queue of AWS SQS.")
    url: TargetUrl
    access_key_id: AccessKeyId
    secret_access_key: SecretAccessKey


TransmissionCreate = TypeAliasType(
    "TransmissionCreate",
    Annotated[
        WebhookTransmissionCreate | SqsTransmissionCreate,
        Field(discriminator="type", description="Where copies are to go, told apart by `type`."),
    ],
)


class GroupDeliveryCreate(RequestDocument):
    """How the events of one group are to be delivered, where that is not as by default."""

    retry_delays: RetryDelays | None = None
    max_age: MaxAge | None = None
    keep: Keep | None = None


DeliveryByGroupCreate = TypeAliasType(
    "DeliveryByGroupCreate",
    Annotated[
        dict[str, GroupDeliveryCreate],
        Field(description=DELIVERY_BY_GROUP, examples=DELIVERY_EXAMPLES),
    ],
)


class IntegrationCreate(RequestDocument):
    """What to create. `pbx` and `company` come from the key where it is bound to one."""

    pbx: PbxSerial | None = Field(
        None,
        description="The PBX whose events it gets. Left out: the one that the key is bound to. "
        "At least one of `pbx` and `company` must be known.",
    )
    company: CompanyId | None = Field(
        None,
        description="The company whose events without a PBX it gets. Left out: the one that the "
        "key is bound to, or that `/v1/pbxs/{pbx}` names.",
    )
    name: IntegrationName | None = Field(
        None, description="What people call it. Left out: it goes by the host of its URL."
    )
    enabled: Switch = Field(default=True, description="Whether it gets events from the start.")
    transmission: TransmissionCreate
    events: Annotated[EventSelection, NULLS_ARE_LEFT_OUT]
    filter: EventPattern | None = Field(
        default_factory=lambda: None,  # a default that isn't described: null has a meaning here
        description="Left out or `null`: all events of the chosen types pass.",
    )
    omit: Annotated[OmitPaths, NULL_IS_DEFAULT] = Field(default_factory=list)
    delivery: Annotated[DeliveryByGroupCreate, NULLS_ARE_LEFT_OUT, NULL_IS_DEFAULT] = Field(
        default_factory=dict
    )
    ordering: OrderingField | None = None
    max_in_flight: MaxInFlight | None = Field(
        default_factory=lambda: None,  # a default that isn't described: null has a meaning here
        description=MAX_IN_FLIGHT,
        examples=[16],
    )
    rate_limit: RateLimit | None = Field(
        default_factory=lambda: None,  # a default that isn't described: null has a meaning here
        description=RATE_LIMIT,
        examples=[20],
    )


CustomHeadersPatch = TypeAliasType(
    "CustomHeadersPatch",
    Annotated[
        dict[str, str | None],
        Field(
            description="Changes of a webhook's headers: each one named here is set, or removed "
            "where it is `null`.",
            examples=[{"X-Tenant": "8", "X-Old": None}],
            json_schema_extra={
                **HEADER_BOUNDS,
                "additionalProperties": {"type": ["string", "null"], "maxLength": 4096},
            },
        ),
    ],
)


class GroupDeliveryPatch(RequestDocument):
    """Changes of how one group's events are delivered: `null` goes back to the default."""

    retry_delays: RetryDelays | None = Field(default_factory=lambda: None)
    max_age: MaxAge | None = Field(default_factory=lambda: None)
    keep: KeepPatch | None = Field(default_factory=lambda: None)


DeliveryByGroupPatch = TypeAliasType(
    "DeliveryByGroupPatch",
    Annotated[
        dict[str, GroupDeliveryPatch | None],
        Field(
            description="Changes of how events are delivered, by group: one that is left out stays "
            "as it is, and one that is `null` is delivered as by default.",
            examples=[{"call": {"maxAge": 60}, "presence": None}],
        ),
    ],
)


class PatchDocument(RequestDocument):
    """A change, in which read-only fields may stand as they were read: whole answers come back.

    What is said of those is kept in `read_only`, by its name in the document, to be compared.
    """

    _read_only: dict[str, object] = PrivateAttr(default_factory=dict)

    @property
    def read_only(self) -> Mapping[str, object]:
        """The read-only fields that were sent, with what was sent."""
        return self._read_only

    @classmethod
    def is_read_only(cls, name: str, value: object) -> bool:
        """Whether a field can't be changed, only sent back as it was read."""
        raise NotImplementedError

    @model_validator(mode="wrap")
    @classmethod
    def _take_read_only(cls, document: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(document, dict):
            return handler(document)
        taken = {name: each for name, each in document.items() if cls.is_read_only(name, each)}
        made = handler({name: each for name, each in document.items() if name not in taken})
        made._read_only = taken  # noqa: SLF001 - of its own class
        return made


class TransmissionPatch(PatchDocument):
    """Changes of where copies go. `type` stays for life; a webhook's secret is rotated instead."""

    url: TargetUrl | None = None
    headers: CustomHeadersPatch | None = Field(
        default_factory=lambda: None,  # a default that isn't described: null has a meaning here
        description="Webhooks only; `null` removes all headers.",
    )
    access_key_id: AccessKeyId | None = None
    secret_access_key: SecretAccessKey | None = None

    @classmethod
    def is_read_only(cls, name: str, value: object) -> bool:
        """Tell what is for life, and an access key's id that is as short as it is shown."""
        if name == "accessKeyId":
            return isinstance(value, str) and len(value) == SHOWN_OF_ACCESS_KEY
        return f"transmission.{name}" in FIXED_FIELDS


class IntegrationPatch(PatchDocument):
    """A JSON merge patch (RFC 7396): fields that are left out stay as they are.

    Read-only fields of an answer may be sent back as they were read.
    """

    name: IntegrationName | None = Field(
        default_factory=lambda: None,  # as above
        description="`null` has it go by the host of its URL, also when that changes.",
    )
    enabled: Switch | None = Field(
        None,
        description="Enabling also clears the health: a paused integration is sent to at once. "
        "One that was enabled keeps its health where `health` is sent along as it was read.",
    )
    transmission: TransmissionPatch | None = None
    events: EventSelectionPatch | None = None
    filter: EventPattern | None = Field(
        default_factory=lambda: None,  # as above
        description="Takes the place of the whole filter; `null` removes it.",
    )
    omit: OmitPaths | None = Field(
        default_factory=lambda: None,  # as above
        description="Replaces the whole list; `null` has copies leave out nothing.",
    )
    delivery: DeliveryByGroupPatch | None = None
    ordering: OrderingField | None = None
    max_in_flight: MaxInFlight | None = Field(
        default_factory=lambda: None,  # as above
        description=MAX_IN_FLIGHT,
        examples=[16],
    )
    rate_limit: RateLimit | None = Field(
        default_factory=lambda: None,  # as above
        description=RATE_LIMIT,
        examples=[20],
    )

    @classmethod
    def is_read_only(cls, name: str, value: object) -> bool:  # noqa: ARG003 - as declared above
        """Tell what Hookline keeps, and what is for life."""
        return name in FIXED_FIELDS


class SecretRotationRequest(RequestDocument):
    """How to rotate a secret."""

    grace_period_hours: Annotated[int, NULL_IS_DEFAULT] = Field(
        24,
        ge=0,
        le=720,
        strict=True,
        description="For how many hours the old secret signs along. 0: every old secret, those of "
        "earlier rotations too, stops at once.",
        examples=[24],
    )


PbxLicence = TypeAliasType(
    "PbxLicence",
    Annotated[
        Literal["x-bees", "collaboration"],
        Field(
            description="The PBX's licence. With `collaboration`, presence events go out only "
            "where `presenceEvents` is on."
        ),
    ],
)


class PbxFields(RequestDocument):
    """What requests and answers say of a PBX."""

    company: CompanyId
    license: PbxLicence
    presence_events: Annotated[Switch, NULL_IS_DEFAULT] = Field(
        default=False,
        description="Whether a `collaboration` PBX sends presence events. Without meaning for "
        "`x-bees`, which always does.",
    )
    retention_days: RetentionDays | None = Field(
        default_factory=lambda: None,  # a default that isn't described: null has a meaning here
        description=RETENTION_DAYS,
        examples=[7],
    )


class PbxPut(PbxFields, PatchDocument):
    """What is known of a PBX. Its record as it was read may be sent back whole."""

    @classmethod
    def is_read_only(cls, name: str, value: object) -> bool:  # noqa: ARG003 - as declared above
        """Tell what a record has besides."""
        return name in FIXED_PBX_FIELDS


FIXED_PBX_FIELDS = {
    "pbx": "The address names the PBX; leave it out.",
    "updatedAt": "Hookline keeps the dates; leave it out.",
}
"""Fields that a PBX's record has, and what describes it does not need."""

FIXED_FIELDS = {
    "id": "Hookline gives each integration its id; leave it out.",
    "pbx": "An integration's PBX is for life; create another integration for another PBX.",
    "company": "An integration's company is for life; create another integration instead.",
    "transmission.type": "An integration's type is for life; create another integration instead.",
    "transmission.secret": "Hookline makes the secret; POST …/rotate-secret gives a new one.",
    "health": "Hookline keeps the health; leave it out.",
    "version": "Hookline counts the changes; leave it out.",
    "createdAt": "Hookline keeps the dates; leave it out.",
    "updatedAt": "Hookline keeps the dates; leave it out.",
    "warnings": "Hookline warns; leave it out.",
}
"""Fields that answers have and requests must not; why, for the person who sent one."""
