"""Integrations and PBXs as the REST API shows and takes them.

A model checks shapes and bounds alone. What a value means (a URL, a header, a selection, a tenant)
is checked by the service, for all fields at once.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from typing_extensions import TypeAliasType

from hookline.domain.targets import TransmissionType

MOST_IN_FLIGHT = 1000  # what the table's own check allows
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _printable(value: str) -> str:
    if _UNPRINTABLE.search(value):
        raise PydanticCustomError(
            "text", "Leave out control characters, line breaks and lone surrogates."
        )
    return value


Line = Annotated[str, AfterValidator(_printable)]
"""One line of text: no control characters, NUL among them, and no lone surrogates."""

IntegrationId = Annotated[
    str,
    Field(
        description="The integration's id, as `integrationId` in every copy that it gets.",
        examples=["s95eum"],
        json_schema_extra={"pattern": "^[a-z0-9]{6}$"},
    ),
]
PbxSerial = Annotated[
    Line,
    Field(
        min_length=1,
        max_length=64,
        description="The PBX's serial.",
        examples=["000000000001"],
    ),
]
CompanyId = Annotated[
    Line,
    Field(
        min_length=1,
        max_length=64,
        description="The company's id.",
        examples=["it_w000001"],
    ),
]
IntegrationName = Annotated[
    Line,
    Field(
        min_length=1,
        max_length=200,
        description="What people call the integration.",
        examples=["CRM"],
    ),
]
TargetUrl = Annotated[
    Line,
    Field(
        min_length=1,
        max_length=2048,
        description="Where copies go: an HTTPS URL with a public address, without user name and "
        "fragment; for `AWS_SQS` the queue's URL, which names its region too.",
        examples=["https://crm.example.com/hook"],
        json_schema_extra={"format": "uri"},
    ),
]
CustomHeaders = Annotated[
    dict[str, str],
    Field(
        description="HTTP headers that every request to the URL carries besides Hookline's own. "
        "Kept sealed.",
        examples=[{"X-Tenant": "7"}],
    ),
]
AccessKeyId = Annotated[
    Line,
    Field(
        min_length=16,
        max_length=128,
        pattern="^[A-Za-z0-9_]+$",
        description="The id of the AWS access key that may send to the queue.",
        examples=["AKIAIOSFODNN7EXAMPLE"],
    ),
]
SecretAccessKey = Annotated[
    Line,
    Field(
        min_length=1,
        max_length=256,
        description="The AWS secret access key. It also keys the signature `X-SIGNATURE`. "
        "Kept sealed and never shown again.",
        examples=["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
        json_schema_extra={"format": "password", "writeOnly": True},
    ),
]
MaxInFlight = Annotated[
    int,
    Field(
        ge=1,
        le=MOST_IN_FLIGHT,
        strict=True,
        description="How many deliveries to the target may be under way at the same moment.",
        examples=[16],
    ),
]
Moment = Annotated[datetime, Field(json_schema_extra={"format": "date-time"})]
Switch = Annotated[bool, Field(strict=True)]

GroupChoice = TypeAliasType(
    "GroupChoice",
    Annotated[
        Any,  # hookline.domain.selection reads it, and names every wrong place in it
        WithJsonSchema(
            {
                "title": "GroupChoice",
                "description": "`all` of the group, types that are added to it later too, or a "
                "list of types.",
                "oneOf": [
                    {"title": "WholeGroup", "type": "string", "const": "all"},
                    {
                        "title": "SomeTypes",
                        "type": "array",
                        "items": {"type": "string", "examples": ["call:completed"]},
                        "minItems": 1,
                    },
                ],
            }
        ),
    ],
)
EventSelection = TypeAliasType(
    "EventSelection",
    Annotated[
        dict[str, GroupChoice],
        Field(
            description="Which events the integration gets, by group. A group that is left out is "
            "not chosen; at least one event is. `GET /v1/event-types` lists all groups and types.",
            examples=[{"call": "all", "analytics": ["call:completed", "call:summary:completed"]}],
            json_schema_extra={"minProperties": 1},
        ),
    ],
)
EventSelectionChanges = TypeAliasType(
    "EventSelectionChanges",
    Annotated[
        dict[str, GroupChoice | None],
        Field(
            description="Changes of which events the integration gets, by group: one that is left "
            "out stays as it is, and one that is `null` is no longer chosen.",
            examples=[{"chat": "all", "analytics": None}],
        ),
    ],
)


class Document(BaseModel):
    """What all documents share: camelCase names, and no field that is not written here."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        field_title_generator=lambda name, _: name.replace("_", " ").capitalize(),
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        """Describe fields with the default None as ones that may be left out, never as nullable."""
        schema = handler(core_schema)
        for described in handler.resolve_ref_schema(schema).get("properties", {}).values():
            if described.get("default", ...) is None:
                _take_null_out(described)
        return schema


def _take_null_out(described: JsonSchemaValue) -> None:
    del described["default"]
    for option in described.pop("anyOf", []):
        if option != {"type": "null"}:
            described.update({**option, **described})


class NewWebhookTransmission(Document):
    """Copies by HTTPS POST. Hookline makes the signing secret; the answer holds it."""

    type: Literal[TransmissionType.WEBHOOK] = Field(description="An HTTPS webhook.")
    url: TargetUrl
    headers: CustomHeaders = Field(default_factory=dict)


class NewSqsTransmission(Document):
    """Copies as messages to a queue of AWS SQS, sent with the customer's own AWS key."""

    type: Literal[TransmissionType.AWS_SQS] = Field(description="A queue of AWS SQS.")
    url: TargetUrl
    access_key_id: AccessKeyId
    secret_access_key: SecretAccessKey


NewTransmission = TypeAliasType(
    "NewTransmission",
    Annotated[
        NewWebhookTransmission | NewSqsTransmission,
        Field(discriminator="type", description="Where copies are to go, told apart by `type`."),
    ],
)


class NewIntegration(Document):
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
    name: IntegrationName
    enabled: Switch = Field(default=True, description="Whether it gets events from the start.")
    transmission: NewTransmission
    events: EventSelection
    filter: None = Field(
        None, description="Reserved for content filters; only `null` is possible so far."
    )
    max_in_flight: MaxInFlight = 16


class TransmissionChanges(Document):
    """Changes of where copies go. `type` stays for life; a webhook's secret is rotated instead."""

    url: TargetUrl | None = None
    headers: dict[str, str | None] | None = Field(
        default_factory=lambda: None,  # a default that isn't described: null has a meaning here
        description="Webhooks only: each header named here is set, or removed where it is `null`; "
        "`null` instead of the object removes all.",
        examples=[{"X-Tenant": "8", "X-Old": None}],
    )
    access_key_id: AccessKeyId | None = Field(None, json_schema_extra={"writeOnly": True})
    secret_access_key: SecretAccessKey | None = None


class IntegrationChanges(Document):
    """A JSON merge patch (RFC 7396): fields that are left out stay as they are."""

    name: IntegrationName | None = None
    enabled: Switch | None = Field(
        None, description="Enabling also clears `health.disabledReason`."
    )
    transmission: TransmissionChanges | None = None
    events: EventSelectionChanges | None = None
    filter: None = Field(
        None, description="Reserved for content filters; only `null` is possible so far."
    )
    max_in_flight: MaxInFlight | None = None


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
        json_schema_extra={"readOnly": True},
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


class Health(Document):
    """How an integration fares."""

    state: Literal["healthy", "disabled"] = Field(
        description="More states may be added; treat one that you don't know as `healthy`."
    )
    failing_since: Moment | None = Field(description="Since when its deliveries have failed.")
    disabled_reason: Literal["gone", "manual"] | None = Field(
        description="`gone`: the target answered 410. `manual`: somebody switched it off."
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
    filter: None = Field(description="Reserved for content filters.")
    max_in_flight: MaxInFlight
    health: Health
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
        description="Until when the secret from before the last rotation signs along in "
        "`webhook-signature`; `null` where none does."
    )


class SecretRotation(Document):
    """How to rotate a secret."""

    grace_period_hours: int = Field(
        24,
        ge=0,
        le=720,
        strict=True,
        description="For how many hours the old secret signs along.",
        examples=[24],
    )


class PbxDescription(Document):
    """What is known of a PBX."""

    company: CompanyId
    license: Literal["x-bees", "collaboration"] = Field(
        description="The PBX's licence. With `collaboration`, presence events go out only where "
        "`presenceEvents` is on."
    )
    presence_events: Switch = Field(
        default=False,
        description="Whether a `collaboration` PBX sends presence events. Without meaning for "
        "`x-bees`, which always does.",
    )


class PbxRecord(PbxDescription):
    """A PBX, its company and its licence."""

    pbx: PbxSerial
    presence_events: bool = Field(
        description="Whether a `collaboration` PBX sends presence events."
    )
    updated_at: Moment = Field(description="When the description was last changed.")


FIXED_FIELDS = {
    "id": "Hookline gives each integration its id; leave it out.",
    "pbx": "An integration's PBX is for life; create another integration for another PBX.",
    "company": "An integration's company is for life; create another integration instead.",
    "transmission.type": "An integration's type is for life; create another integration instead.",
    "transmission.secret": "Hookline makes the secret; POST …/rotate-secret gives a new one.",
    "health": "Hookline keeps the health; leave it out.",
    "createdAt": "Hookline keeps the dates; leave it out.",
    "updatedAt": "Hookline keeps the dates; leave it out.",
}
"""Fields that answers have and requests must not; why, for the person who sent one."""
