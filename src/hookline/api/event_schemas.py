"""Schemas of sending events, for the OpenAPI document alone: the routes read and write bytes.

pydantic would cost more than all else that happens to an event; hookline.domain.events is what
checks it.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema
from typing_extensions import TypeAliasType

from hookline.api.responses import WrongField
from hookline.domain.access import Role
from hookline.history.schemas import EventId
from hookline.integrations.fields import Document

_EVENT_ID = "0190e5a1-7c3e-7d52-9f5a-3c1f6b9d2e4f"


EventData = TypeAliasType(
    "EventData",
    Annotated[
        dict[str, Any],  # Any: each type has its own content
        Field(description="The event's own content.", examples=[{"direction": "inbound"}]),
    ],
)
BatchStatus = TypeAliasType(
    "BatchStatus",
    Annotated[
        Literal["accepted", "duplicate", "invalid"],
        Field(
            description="`accepted`: stored. `duplicate`: stored before. `invalid`: not stored; "
            "`error` says why, and in `retryAfter` whether it can be sent again as it is."
        ),
    ],
)


class EventCreate(BaseModel):
    """An event as a PBX sends it, without `integrationId`; further members are passed on."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(
        min_length=1,
        max_length=255,
        description="What the event is about: all events of one call share it.",
        examples=["1721836787.1"],
    )
    pbx: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="The PBX's serial. Left out: the PBX that the key is bound to, if it is.",
        examples=["000000000001"],
    )
    company: str = Field(
        min_length=1, max_length=64, description="The company's id.", examples=["it_w000001"]
    )
    time: int = Field(
        ge=0,
        le=2**53 - 1,
        description="When the PBX sent it, in milliseconds since the epoch.",
        examples=[1721836787753],
        json_schema_extra={"format": "int64"},
    )
    type: str = Field(
        min_length=1,
        max_length=128,
        description="The event's type; one that is not in the catalogue is accepted too.",
        examples=["call:completed"],
    )
    data: EventData


class EventBatchCreate(BaseModel):
    """Up to 1,000 events."""

    model_config = ConfigDict(extra="forbid")

    events: list[EventCreate] = Field(
        max_length=1000, description="The events, in the order in which they are answered."
    )


class EventReceipt(Document):
    """The event is stored, and will be delivered or end in a recorded failure."""

    event_id: EventId
    duplicate: bool = Field(
        description="Whether the same event was accepted before; `eventId` is that one's."
    )
    deliveries: int = Field(
        ge=0, description="How many integrations get a copy; 0 for a duplicate.", examples=[2]
    )


class RefusedEvent(Document):
    """Why one event of a batch was not taken."""

    type: str = Field(
        description="Which kind of problem it is, as in problem documents.",
        examples=["/problems/invalid-input"],
        json_schema_extra={"format": "uri-reference"},
    )
    title: str = Field(
        description="The kind of problem in words.", examples=["Some fields are wrong"]
    )
    detail: str = Field(description="A sentence for the person who has to act.")
    errors: list[WrongField] | None = Field(
        None, description="Every wrong field, its path from the event's root."
    )
    retry_after: int | None = Field(
        None,
        ge=1,
        description="For `/problems/overloaded` alone: seconds after which to send the event"
        " again, as its PBX or company has as many deliveries waiting as one may have.",
        examples=[5],
    )


class BatchResult(Document):
    """What became of one event of a batch."""

    status: BatchStatus
    event_id: UUID | None = Field(
        None,
        description="The event's id; for a duplicate that of the first. Not there if `invalid`.",
        examples=[_EVENT_ID],
    )
    error: RefusedEvent | None = Field(None, description="There only if `invalid`.")


class BatchReceipt(Document):
    """What became of each event."""

    results: list[BatchResult] = Field(description="One for each event, in the order sent.")


def request_of(model: type[BaseModel]) -> dict[str, Any]:
    """Document an operation that takes this model and reads its body by itself."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    senders = [role.value for role in (Role.ADMIN, Role.INGEST)]
    return {"requestBody": body, "security": [{"bearer": senders}]}


def request_schemas() -> dict[str, Any]:
    """Return the schemas that `request_of` refers to, by name."""
    _, schemas = models_json_schema(
        [(EventCreate, "validation"), (EventBatchCreate, "validation")],
        ref_template="#/components/schemas/{model}",
    )
    definitions: dict[str, Any] = schemas["$defs"]
    return definitions
