"""Events, deliveries and jobs as the REST API shows them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from typing_extensions import TypeAliasType

from hookline.domain import stored
from hookline.domain.deliveries import (
    DeliveryStatus,
    ErrorKind,
    FailReason,
    ResponseDefect,
    SkipReason,
    TlsReason,
)
from hookline.history.jobs import EndStatus, JobState

TimestampField = Annotated[datetime, Field(json_schema_extra={"format": "date-time"})]
EventId = Annotated[
    UUID, Field(description="The event's id.", examples=["0190e5a1-7c3e-7d52-9f5a-3c1f6b9d2e4f"])
]
DeliveryId = Annotated[
    UUID,
    Field(
        description="The delivery's id, the `webhook-id` of every attempt.",
        examples=["0190e5a1-7c40-7a11-8d3b-5e2a9c7f1b60"],
    ),
]
IntegrationId = Annotated[str, Field(description="The integration's id.", examples=["s95eum"])]
EventTypeName = Annotated[str, Field(description="The event's type.", examples=["call:completed"])]
Pbx = Annotated[
    str | None,
    Field(
        description="The PBX that the event was routed by; `null` where none is known.",
        examples=["000000000001"],
    ),
]
_REASONS = (
    "Why it was `skipped` or has `failed`. Skipped: `not_selected`: the integration did not choose "
    "the type; `disabled`: it was disabled; `licence`: the PBX's licence does not cover the type; "
    "`filtered`: its filter let the event not pass; `deleted`: it was deleted before it was sent; "
    "`unknown_type`: the type is in no catalogue; `stale`: it waited for longer than the "
    "`maxAge` of its group; `superseded`: a newer event of its type and subject took its place, as "
    "`keep: latest` asks for; `erased`: its payload was destroyed by an erasure. Failed: "
    "`rejected`: the target answered with a status that is not retried; `gone`: it answered 410; "
    "`exhausted`: the last retry failed; `blocked`: the target's address is not allowed; "
    "`too_large`: the copy is larger than the target takes; `internal`: a fault of Hookline's own. "
    "More reasons may be added."
)
OutcomeReason = TypeAliasType(
    "OutcomeReason",
    Annotated[
        SkipReason | FailReason,
        WithJsonSchema(  # one list: orval refers to the parts of a union before they are declared
            {
                "title": "OutcomeReason",
                "type": "string",
                "description": _REASONS,
                "enum": [*SkipReason, *FailReason],
                "examples": ["not_selected"],
            }
        ),
    ],
)
Next = Annotated[
    str | None, Field(description="The `cursor` of the next page; `null` on the last one.")
]
Envelope = TypeAliasType(
    "Envelope",
    Annotated[
        dict[str, Any],  # an event of any type: WithJsonSchema says what every envelope has
        WithJsonSchema(
            {
                "title": "Envelope",
                "type": "object",
                "description": "The event as it was accepted, in its canonical form: the copies "
                "are these bytes, each with its `integrationId`.",
                "additionalProperties": True,
            }
        ),
    ],
)
AttemptError = Annotated[ErrorKind | None, Field(description="What went wrong, if anything did.")]
AttemptTlsReason = Annotated[
    TlsReason | None,
    Field(description="Why TLS with the target did not come about, where `error` is `tls`."),
]
_StatusCode = Annotated[
    int, WithJsonSchema({"type": "integer", "minimum": 100, "maximum": 999})
]  # described, not checked: receivers answer what they like
AttemptStatus = Annotated[
    _StatusCode | None, Field(description="The HTTP status of the answer, if there was one.")
]
AttemptResponse = Annotated[
    str | None,
    Field(description="At most 4 KiB of what was answered; bytes that are no text are replaced."),
]
AttemptDefect = Annotated[
    ResponseDefect | None,
    Field(
        description="What of the response was not HTTP/1.1, where a status could be read all the"
        " same: the status alone decides what the attempt means, and the connection is not used"
        " again."
    ),
]
AttemptHint = Annotated[
    str | None,
    Field(
        description="What helps against a copy that was too large for the target, and how large it"
        " was."
    ),
]
AttemptOutcome = TypeAliasType(
    "AttemptOutcome",
    Annotated[
        stored.AttemptOutcome,
        Field(
            description="`retry`: it did not succeed, and another attempt followed or is to follow."
        ),
    ],
)


class Record(BaseModel):
    """What all documents share: camelCase names."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Attempt(Record):
    """One attempt to deliver."""

    number: int = Field(ge=1, description="1 for the first attempt.")
    started_at: TimestampField = Field(description="When it began.")
    duration_ms: int = Field(ge=0, description="How long it took, in milliseconds.")
    outcome: AttemptOutcome
    error: AttemptError
    tls_reason: AttemptTlsReason
    status_code: AttemptStatus
    response_body: AttemptResponse
    response_defect: AttemptDefect
    hint: AttemptHint


class Delivery(Record):
    """One integration's copy of one event, and every attempt to deliver it."""

    id: DeliveryId
    event_id: EventId
    integration_id: IntegrationId
    type: EventTypeName
    status: DeliveryStatus
    reason: OutcomeReason | None = Field(description="Why, where it was `skipped` or has `failed`.")
    next_attempt_at: TimestampField | None = Field(
        description="When a `pending` delivery is due; `null` while it is being attempted."
    )
    created_at: TimestampField = Field(description="When it was queued.")
    replay: UUID | None = Field(
        description="The replay that queued it; `null` where its event's acceptance did."
    )
    attempts: list[Attempt] = Field(description="The attempts that ended, in order.")


class DeliveryPage(Record):
    """One page of deliveries, newest first."""

    items: list[Delivery] = Field(description="The page's deliveries.")
    next: Next


class OutcomeDetail(Record):
    """Why a delivery stands as it does: what it waits for, and what was answered last."""

    attempts: int = Field(ge=0, description="How many attempts ended so far.")
    last_attempt: Attempt | None = Field(
        description="The last of them, with what was answered; `null` before the first."
    )
    next_attempt_at: TimestampField | None = Field(
        description="When a `pending` delivery is due; `null` while it is being attempted."
    )
    paused: bool = Field(
        description="Whether it waits because its integration is paused, but for probes."
    )
    paused_since: TimestampField | None = Field(description="Since when the integration is paused.")
    failing_since: TimestampField | None = Field(
        description="Since when a paused integration's target has been failing."
    )
    next_probe_at: TimestampField | None = Field(
        description="When the target of a paused integration is tried next."
    )
    behind: UUID | None = Field(
        description="The delivery that goes first, where its integration keeps the order of each "
        "subject and this one is not the first of its own."
    )


class IntegrationOutcome(Record):
    """What became of an event for one integration that was considered for it."""

    integration_id: IntegrationId
    status: DeliveryStatus
    reason: OutcomeReason | None = Field(description="Why, where it was `skipped` or has `failed`.")
    delivery_id: UUID | None = Field(description="Its delivery; `null` where there never was one.")
    detail: OutcomeDetail | None = Field(
        description="What tells more of its delivery; `null` where there never was one."
    )


class EventSummary(Record):
    """An accepted event, in lists."""

    event_id: EventId
    accepted_at: TimestampField = Field(description="When Hookline accepted it.")
    pbx: Pbx
    company: str = Field(description="The company's id.", examples=["it_w000001"])
    type: EventTypeName
    subject: str = Field(
        description="The envelope's `id`: all events of one call share it.",
        examples=["1721836787.1"],
    )
    time: int = Field(
        ge=0,
        description="The envelope's `time`: when the PBX sent it, in epoch milliseconds.",
        examples=[1721836787753],
        json_schema_extra={"format": "int64"},
    )


class EventPage(Record):
    """One page of events, newest first."""

    items: list[EventSummary] = Field(description="The page's events.")
    next: Next


class EventRecord(Record):
    """An accepted event, and what became of it for each integration."""

    event_id: EventId
    accepted_at: TimestampField = Field(description="When Hookline accepted it.")
    erased_at: TimestampField | None = Field(
        description="When its payload was erased: `event` then has no `data`; else `null`."
    )
    event: Envelope
    outcomes: list[IntegrationOutcome] = Field(
        description="The integrations that there were when it was accepted: those with a delivery "
        "first, then those that did not get it and why. One that was made later is not listed "
        "unless a replay with `missing` sent it the event."
    )


_JOB_STATE = (
    "`counting`: how much there is to do; `running`; `done`: all of it was done; `cancelled`: "
    "somebody asked for that; `failed`: `error` says why."
)
JobId = Annotated[
    UUID, Field(description="The job's id.", examples=["0190e5a1-7d10-7b3c-8e21-6f0c4b8a2d57"])
]
Count = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]


class Replay(Record):
    """A job that sends an integration's events again."""

    id: JobId
    integration_id: IntegrationId
    state: JobState = Field(description=_JOB_STATE)
    since: TimestampField = Field(description="From when on.")
    until: TimestampField = Field(description="Up to, and without, when.")
    statuses: list[EndStatus] = Field(description="Deliveries that had ended so.")
    types: list[str] | None = Field(description="Only these types of events; `null`: all.")
    missing: bool = Field(description="Whether events are sent that it has no delivery of.")
    rate_limit: float | None = Field(
        description="How many deliveries a second are queued at most; `null`: as many as it takes."
    )
    total: Count | None = Field(
        description="How many deliveries it comes to; `null` while they are counted."
    )
    queued: Count = Field(description="How many were queued so far, each with an id of its own.")
    delivered: Count = Field(description="Of those, how many were delivered.")
    failed: Count = Field(description="Of those, how many failed.")
    skipped: Count = Field(
        description="Of those, how many were skipped, since the integration was disabled, say."
    )
    created_at: TimestampField = Field(description="When it was asked for.")
    created_by: str = Field(description="The name of the key that asked for it, or its id.")
    finished_at: TimestampField | None = Field(description="When it ended; `null` before that.")
    error: str | None = Field(description="Why it has `failed`, or what it is waiting for.")


class ReplayCount(Record):
    """What a replay would come to; nothing was queued."""

    integration_id: IntegrationId
    state: Literal["counted"] = Field(
        description="That of no job: this tells a count from a `Replay`."
    )
    total: Count = Field(description="How many deliveries it would queue.")
    complete: bool = Field(
        description="Whether all of them were counted; where not, there are more than `total`."
    )


def _tell_apart_by_state(union: dict[str, Any]) -> None:  # Any: a JSON schema
    """Add what pydantic adds for literals alone: a job's state is an enumeration."""
    place = "#/components/schemas/"
    mapping = {state.value: f"{place}{Replay.__name__}" for state in JobState}
    mapping["counted"] = f"{place}{ReplayCount.__name__}"
    union["oneOf"] = union.pop("anyOf")
    union["discriminator"] = {"propertyName": "state", "mapping": mapping}


ReplayStart = TypeAliasType(
    "ReplayStart",
    Annotated[
        Replay | ReplayCount,
        Field(
            description="The job that was begun, or what it would come to, told apart by `state`: "
            "the same schema for both statuses, since many generators read only one of them.",
            json_schema_extra=_tell_apart_by_state,
        ),
    ],
)


class ReplayPage(Record):
    """One page of an integration's replays, newest first."""

    items: list[Replay] = Field(description="The page's replays.")
    next: Next


class Erasure(Record):
    """A job that destroys payloads."""

    id: JobId
    state: JobState = Field(description=_JOB_STATE)
    pbx: str | None = Field(description="The PBX whose events are erased.")
    company: str | None = Field(description="The company whose events are erased.")
    subject: str | None = Field(description="Only events of this subject; `null`: all.")
    before: TimestampField = Field(description="Only what was accepted before this time.")
    total: Count | None = Field(
        description="How many events it comes to; `null` while they are counted."
    )
    erased: Count = Field(description="How many were erased so far, their answers too.")
    created_at: TimestampField = Field(description="When it was asked for.")
    created_by: str = Field(description="The name of the key that asked for it, or its id.")
    finished_at: TimestampField | None = Field(description="When it ended; `null` before that.")
    error: str | None = Field(description="Why it has `failed`, or what it is waiting for.")


class ErasurePage(Record):
    """One page of erasures, newest first."""

    items: list[Erasure] = Field(description="The page's erasures.")
    next: Next
