"""What the routes under `/v1/filters` take and answer."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, WithJsonSchema

from hookline.dispatch.filter_trials import MOST_EVENTS
from hookline.integrations.fields import (
    Document,
    EventPattern,
    IntegrationId,
    OmitPaths,
    RequestDocument,
)

_GivenEvent = Annotated[
    Any,  # hookline.domain.events reads it, and names every wrong place in it
    WithJsonSchema(
        {
            "type": "object",
            "description": "An event's envelope, without `integrationId`.",
            "additionalProperties": True,
        }
    ),
]


class FilterTrialRequest(RequestDocument):
    """What to try, and on which events: without `events` and `integrationId`, the examples."""

    filter: EventPattern | None = Field(description="The event pattern to try; `null`: all pass.")
    omit: OmitPaths = Field(default_factory=list)
    events: list[_GivenEvent] | None = Field(
        None,
        min_length=1,
        max_length=MOST_EVENTS,
        description="Events to try it on, at most 100.",
    )
    integration_id: IntegrationId | None = Field(
        None, description="The integration whose last events it is tried on."
    )


class TriedEvent(Document):
    """What the filter says of one event, and its copy."""

    event_id: UUID | None = Field(description="Its id, where it is one of an integration's last.")
    type: str = Field(description="Its type.", examples=["call:completed"])
    passes: bool = Field(description="Whether the filter lets it pass.")
    refused_by: str | None = Field(
        description="Where it does not pass: the path that says no.", examples=["data.direction"]
    )
    bytes: int = Field(ge=0, description="The size of the copy as it would be sent.")
    body: str | None = Field(
        description="The copy as it would be sent, whether it passes or not; `null` for those "
        "beyond the first MiB of all copies."
    )


class FilterTrial(Document):
    """What came of trying a filter, event by event."""

    passing: int = Field(ge=0, description="How many of the events pass.")
    items: list[TriedEvent] = Field(description="The events, in the order given; the newest first.")
