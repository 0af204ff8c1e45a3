"""Documents of the API's own frame: problems, tests, the catalogue, readiness."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, WithJsonSchema
from typing_extensions import TypeAliasType

from hookline.domain.catalogue import EventFormat
from hookline.domain.deliveries import ErrorKind, ResponseDefect, TlsReason, Verdict
from hookline.history.schemas import HINT, RESPONSE_DEFECT, StatusCode
from hookline.integrations.fields import PRINTABLE, Document, Moment, RequestDocument, Switch


class WrongField(Document):
    """One wrong field of a request."""

    path: str = Field(
        description="Where it is, from the document's root.",
        examples=["transmission.url", "events.call[0]"],
    )
    message: str = Field(
        description="What to do about it.", examples=["The URL must begin with https://."]
    )


class Problem(Document):
    """What went wrong (RFC 9457)."""

    type: str = Field(
        description="Which kind of problem it is; stable, and an address that explains it.",
        examples=["/problems/not-found"],
        json_schema_extra={"format": "uri-reference"},
    )
    title: str = Field(
        description="The kind of problem in words.", examples=["There is no such object"]
    )
    status: int = Field(ge=400, le=599, description="The HTTP status.", examples=[404])
    detail: str = Field(
        description="A sentence for the person who has to act.",
        examples=["There is no integration 's95eum'."],
    )


class InvalidInputProblem(Problem):
    """Some fields of the request are wrong; each is named."""

    errors: list[WrongField] = Field(description="Every wrong field.")


class TestRequest(RequestDocument):
    """What to send as a test."""

    type: str = Field(
        min_length=1,
        max_length=128,
        description="The event type whose example is sent, one of `GET /v1/event-types`.",
        examples=["call:completed"],
    )


class TestAttempt(Document):
    """The one attempt of a test, and its outcome in full."""

    number: Literal[1] = Field(description="Always 1: a test is never retried.")
    started_at: Moment = Field(description="When it began.")
    duration_ms: int = Field(ge=0, description="How long it took, in milliseconds.")
    outcome: Verdict = Field(
        description="What it means: `delivered`; `retry`, where a real delivery would be tried "
        "again; any other: where it would have failed."
    )
    error: ErrorKind | None = Field(description="What went wrong, if anything did.")
    tls_reason: TlsReason | None = Field(
        description="Why TLS with the target did not come about, where `error` is `tls`."
    )
    status_code: StatusCode | None = Field(
        description="The HTTP status of the answer, if there was one."
    )
    response_body: str | None = Field(
        description="At most 4 KiB of what was answered; bytes that are no text are replaced."
    )
    response_defect: ResponseDefect | None = Field(description=RESPONSE_DEFECT)
    hint: str | None = Field(description=HINT)


class TestResult(Document):
    """What came of a test."""

    event_type: str = Field(description="The type that was sent.", examples=["call:completed"])
    delivery_id: UUID = Field(description="The id that went along as `webhook-id`.")
    filtered_by: str | None = Field(
        description="Where the integration's filter refuses the example, so that a real event like "
        "it would not be sent: the path that says no.",
        examples=["data.direction"],
    )
    body: str = Field(
        description="The exact body that was sent and signed.",
        examples=['{"id":"1721836787.1","company":"it_w000001","integrationId":"s95eum"}'],
    )
    attempt: TestAttempt


EventExample = TypeAliasType(
    "EventExample",
    Annotated[
        Any,  # an event of any type; WithJsonSchema says what every envelope has
        WithJsonSchema(
            {
                "title": "EventExample",
                "type": "object",
                "description": "A whole event, without `integrationId`.",
                "additionalProperties": True,
            }
        ),
    ],
)


class EventTypeDescription(Document):
    """One kind of event."""

    name: str = Field(description="The name in `type`.", examples=["call:completed"])
    title: str = Field(description="The name for people.", examples=["Call completed"])
    description: str = Field(description="When it is sent, and what it tells.")
    format: EventFormat = Field(
        description="`json`: structured content. `text`: the content is one text in the envelope."
    )
    licensed: bool = Field(description="Whether the PBX's licence decides if it is sent.")
    built_in: bool = Field(description="Whether it is Hookline's own: administrators add others.")
    example: EventExample


class EventGroup(Document):
    """One group of event types, as a form shows it."""

    name: str = Field(description="The name in an integration's `events`.", examples=["call"])
    title: str = Field(description="The name for people.", examples=["Call"])
    description: str = Field(description="What its events are about.")
    types: list[EventTypeDescription] = Field(description="Its types, in the form's order.")


class UnknownEventType(Document):
    """A name that came in events and is not in the catalogue."""

    name: str = Field(description="The name.", examples=["call:live:parked"])
    group: str | None = Field(
        description="Where the naming rules place it: integrations that chose this whole group "
        "get it. `null`: nobody gets it.",
        examples=["call"],
    )
    count: int = Field(ge=1, description="How many such events were accepted.", examples=[17])
    first_seen_at: Moment = Field(description="When the first one was counted.")
    last_seen_at: Moment = Field(description="When the last one was counted.")


class EventCatalogue(Document):
    """Every group of events and every type that is known."""

    groups: list[EventGroup] = Field(description="The groups, in the form's order.")
    unknown: list[UnknownEventType] | None = Field(
        None,
        description="With `unknown=true` alone: names that are not in the catalogue, the most "
        "frequent first, at most 1,000. Counted in batches, a few seconds late.",
        exclude_if=lambda value: value is None,
    )


class EventTypePut(RequestDocument):
    """An event type to add to the catalogue."""

    group: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            description="The group that it belongs to; for good, until it is deleted.",
            examples=["call"],
        ),
        PRINTABLE,
    ]
    title: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100,
            description="What a form shows.",
            examples=["Call parked"],
        ),
        PRINTABLE,
    ]
    description: Annotated[
        str, Field(max_length=1000, description="When it is sent, in a sentence."), PRINTABLE
    ] = ""
    format: EventFormat = Field(
        default=EventFormat.JSON, description="What the content is: `json`, or one `text`."
    )
    licensed: Switch = Field(
        default=False,
        description="Whether the licence rule for presence events covers it.",
    )
    example: EventExample


class CustomEventType(EventTypeDescription):
    """An event type that an administrator added to the catalogue."""

    group: str = Field(description="The group that it belongs to.", examples=["call"])
    updated_at: Moment = Field(description="When it was last changed.")


class Liveness(Document):
    """The process is alive."""

    status: Literal["alive"] = Field(description="Always `alive`: who answers is.")


class ReadinessCheck(Document):
    """One thing that must be well before requests make sense."""

    name: str = Field(description="What was looked at.", examples=["database"])
    ok: bool = Field(description="Whether it is well.")
    detail: str = Field(description="What was found, for an operator.")


ReadinessStatus = TypeAliasType(
    "ReadinessStatus",
    Annotated[Literal["ready", "not ready"], Field(description="`ready` if every check is well.")],
)


class ReadinessReport(Document):
    """Whether this process should be sent requests."""

    status: ReadinessStatus
    checks: list[ReadinessCheck] = Field(description="What was looked at.")
