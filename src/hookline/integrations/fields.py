"""The fields that integrations and PBXs are made of, each with its bounds and its description.

Shapes and bounds alone: what a value means is checked by the service.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticUseDefault
from typing_extensions import TypeAliasType

from hookline.domain.access import LONGEST_ID, LONGEST_NAME, UNPRINTABLE
from hookline.domain.omissions import LONGEST_PATH, MOST_PATHS
from hookline.domain.retries import LONGEST_AGE, LONGEST_DELAY, MOST_RETRIES
from hookline.domain.targets import Ordering

MOST_RETENTION_DAYS = 3650  # what the table's own check allows
MOST_IN_FLIGHT = 1000  # what the table's own check allows
SLOWEST_RATE, FASTEST_RATE = 0.1, 1000.0  # deliveries a second, as the table's own check allows
SHOWN_OF_ACCESS_KEY = 4  # characters of an AWS access key's id, the last ones


def _printable(value: str) -> str:
    if UNPRINTABLE.search(value):
        raise PydanticCustomError(
            "text", "Leave out control characters, line breaks and lone surrogates."
        )
    return value


def _spaceless(secret: str) -> str:
    if any(each.isspace() for each in secret):
        raise PydanticCustomError("spaces", "Leave out the spaces; an AWS secret key has none.")
    return secret


PRINTABLE = AfterValidator(_printable)
"""One line of text: no control characters, NUL among them, and no lone surrogates.

It stands behind the bounds of a field: `Annotated[str, Field(…), PRINTABLE]`.
"""


def _default_for_null(value: object) -> object:
    if value is None:
        raise PydanticUseDefault
    return value


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: each for name, each in value.items() if each is not None}
    return value


NULL_IS_DEFAULT = BeforeValidator(_default_for_null)
"""Takes null for a field that is left out: `Annotated[int, NULL_IS_DEFAULT] = Field(24, …)`."""
NULLS_ARE_LEFT_OUT = BeforeValidator(_without_nulls)
"""Takes null in a map for an entry that is left out, as a merge patch into nothing does."""

IntegrationId = Annotated[
    str,
    Field(
        description="The integration's id, as `integrationId` in every copy that it gets.",
        examples=["s95eum"],
        json_schema_extra={"pattern": "^[a-z0-9]{6}$"},
    ),
]
PbxSerial = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_ID,
        description="The PBX's serial.",
        examples=["000000000001"],
    ),
    PRINTABLE,
]
CompanyId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_ID,
        description="The company's id.",
        examples=["it_w000001"],
    ),
    PRINTABLE,
]
IntegrationName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_NAME,
        description="What people call the integration; the host of its URL where nobody named it.",
        examples=["CRM"],
    ),
    PRINTABLE,
]
TargetUrl = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2048,
        description="Where copies go: an HTTPS URL with a public address, without user name and "
        "fragment; for `AWS_SQS` the queue's URL, which names its region too.",
        examples=["https://crm.example.com/hook"],
        json_schema_extra={"format": "uri"},
    ),
    PRINTABLE,
]
HEADER_BOUNDS: dict[str, Any] = {  # Any: a JSON Schema; hookline.integrations.checks checks it
    "maxProperties": 20,
    "propertyNames": {"maxLength": 128},
}
CustomHeaders = TypeAliasType(
    "CustomHeaders",
    Annotated[
        dict[str, str],
        Field(
            description="HTTP headers that every request to the URL carries besides Hookline's "
            "own. Kept encrypted.",
            examples=[{"X-Tenant": "7"}],
            json_schema_extra={
                **HEADER_BOUNDS,
                "additionalProperties": {"type": "string", "maxLength": 4096},
            },
        ),
    ],
)
AccessKeyId = Annotated[
    str,
    Field(
        min_length=16,
        max_length=128,
        pattern="^[A-Za-z0-9_]+$",
        description="The id of the AWS access key that may send to the queue.",
        examples=["AKIAIOSFODNN7EXAMPLE"],
    ),
    PRINTABLE,
]
SecretAccessKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        description="The AWS secret access key. It also keys the signature `X-SIGNATURE`. "
        "Kept encrypted and never shown again.",
        examples=["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
        json_schema_extra={"format": "password"},
    ),
    PRINTABLE,
    AfterValidator(_spaceless),
]
MaxInFlight = Annotated[
    int,
    Field(
        ge=1,
        le=MOST_IN_FLIGHT,
        strict=True,
    ),
]
MAX_IN_FLIGHT = (
    "How many deliveries to the target may be under way at the same moment. `null` adapts: from 8 "
    "up to 256 while the target answers well and in time, fewer as its latency rises or it fails."
)
RateLimit = Annotated[
    float,
    Field(
        ge=SLOWEST_RATE,
        le=FASTEST_RATE,
        strict=True,
        allow_inf_nan=False,
    ),
]
RetentionDays = Annotated[int, Field(ge=1, le=MOST_RETENTION_DAYS, strict=True)]
RETENTION_DAYS = (
    "For how many days events of the PBX are kept, with their deliveries and attempts: at most the "
    "service's own RETENTION_DAYS. `null`: as many as that."
)
RATE_LIMIT = (
    "How many deliveries a second the target gets at most, over all of Hookline's processes; "
    "what waits for its turn costs no attempt. `null`: as many as it takes."
)
OrderingField = Annotated[
    Ordering,
    Field(
        description="`subject`: of the events of one subject (the envelope's `id`) one is "
        "delivered at a time, in the order in which they were accepted. One that waits for its "
        "retry holds back its own subject alone, and once it has failed the next one goes. "
        "`none`: first attempts start in that order, and nothing more. A FIFO queue always has "
        "`subject`."
    ),
]
OmitPaths = Annotated[
    list[Any],  # hookline.domain.omissions reads it, and names every wrong place in it
    WithJsonSchema(
        {
            "type": "array",
            "maxItems": MOST_PATHS,
            "items": {"type": "string", "minLength": 1, "maxLength": LONGEST_PATH},
            "description": "Paths that the copies leave out, `*` for the elements of an array: "
            "for privacy, and for receivers that take no long bodies. What is sent is what is "
            "signed. A path that an event does not have changes nothing. Counts for events "
            "that are accepted from now on.",
            "examples": [["data.chunks", "data.flows.*.caller.phone"]],
        }
    ),
]
RetryDelays = Annotated[
    list[Annotated[float, Field(ge=0, le=LONGEST_DELAY, strict=True, allow_inf_nan=False)]],
    Field(
        max_length=MOST_RETRIES,
        description="Seconds before each retry, at most 3; an empty list for no retries. Left out: "
        "the service's own. A receiver's `Retry-After`, and a pause, can make it longer.",
        examples=[[5, 300, 3600]],
    ),
]
MaxAge = Annotated[
    float,
    Field(
        ge=1,
        le=LONGEST_AGE,
        strict=True,
        allow_inf_nan=False,
        description="Seconds after its acceptance for which an event is sent; then it is skipped "
        "as `stale`, whatever it waits for. Counts for events that are accepted from now on. Left "
        "out: events are sent however old they are.",
        examples=[30],
    ),
]
Keep = Annotated[
    Literal["latest"],
    Field(
        description="`latest`: while several events of one type and subject wait, only the newest "
        "is sent; the others are skipped as `superseded`. Counts for events that are accepted from "
        "now on. Left out: each is sent.",
        examples=["latest"],
    ),
]
KeepPatch = Annotated[  # no closed list: orval gives up at one that may be null
    str, Field(pattern="^latest$", description="As in the integration.", examples=["latest"])
]
DELIVERY_BY_GROUP = (
    "What the events of a group are worth, by group; a group that is left out is delivered as "
    "the service does by default."
)
DELIVERY_EXAMPLES = [
    {
        "call": {"maxAge": 30},
        "presence": {"keep": "latest"},
        "analytics": {"retryDelays": [5, 300, 3600]},
    }
]
TimestampField = Annotated[datetime, Field(json_schema_extra={"format": "date-time"})]
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
                    {
                        "title": "SomeTypes",
                        "type": "array",
                        "items": {
                            "type": "string",
                            "maxLength": 128,
                            "examples": ["call:completed"],
                        },
                        "minItems": 1,
                    },
                    # Last: openapi-python-client gives up at a constant that doesn't fit.
                    {"title": "WholeGroup", "type": "string", "const": "all"},
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
EventSelectionPatch = TypeAliasType(
    "EventSelectionPatch",
    Annotated[
        dict[str, GroupChoice | None],
        Field(
            description="Changes of which events the integration gets, by group: one that is left "
            "out stays as it is, and one that is `null` is no longer chosen.",
            examples=[{"chat": "all", "analytics": None}],
        ),
    ],
)

EventPattern = Annotated[
    dict[str, Any],  # hookline.domain.filters reads it, and names every wrong place in it
    WithJsonSchema(
        {
            "type": "object",
            "description": "Which events of the chosen types pass, as an event pattern over "
            "the envelope, in the language of Amazon EventBridge: all keys must match; a leaf "
            "is an array of alternatives, each a literal or one of `prefix`, `suffix`, "
            "`equals-ignore-case`, `wildcard`, `anything-but`, `numeric`, `exists`; `$or` is "
            "an array of patterns. Of an array in the event any element may match. At most 4 "
            "KiB as compact JSON, 100 leaves and 8 levels. `null` or `{}`: all pass.",
            "additionalProperties": True,
            "examples": [
                {
                    "data": {
                        "flows": {
                            "direction": ["INBOUND"],
                            "duration": [{"numeric": [">=", 10]}],
                            "caller": {"phone": ["+4955500100", {"prefix": "+39"}]},
                        }
                    }
                }
            ],
        }
    ),
]


class Document(BaseModel):
    """What all documents share: camelCase names, and no field that is not written here."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
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


class RequestDocument(Document):
    """What requests share: a field goes by its documented name alone, never by Python's."""

    model_config = ConfigDict(validate_by_name=False)


def _take_null_out(described: JsonSchemaValue) -> None:
    del described["default"]
    for option in described.pop("anyOf", []):
        if option != {"type": "null"}:
            described.update({**option, **described})
