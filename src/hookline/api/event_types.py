"""`/v1/event-types`: the catalogue, and what administrators add to it."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query
from pydantic import Field, WithJsonSchema
from typing_extensions import TypeAliasType

from hookline.api.bounded_body import EventsRoute
from hookline.api.dependencies import Admin, AnyRole, ServicesDep
from hookline.api.openapi.examples import EVENT_TYPE
from hookline.api.parameters import Boolean
from hookline.api.responses import failures
from hookline.domain.catalogue import EventFormat, EventType, Group
from hookline.errors import Forbidden
from hookline.integrations.event_types import KeptType, UnknownType, WantedType
from hookline.integrations.fields import (
    NULL_IS_DEFAULT,
    PRINTABLE,
    Document,
    Switch,
    TimestampField,
)
from hookline.integrations.requests import PatchDocument

router = APIRouter(prefix="/v1/event-types", tags=["Event types"], route_class=EventsRoute)

TypePath = Annotated[
    str,
    Path(
        description="The event type's name, as in `type`.",
        examples=["call:live:parked"],
        min_length=1,
        max_length=128,
        pattern="^[A-Za-z0-9][A-Za-z0-9:._-]*$",
    ),
]


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
    group: str = Field(description="The group that it belongs to.", examples=["call"])
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
    first_seen_at: TimestampField = Field(description="When the first one was counted.")
    last_seen_at: TimestampField = Field(description="When the last one was counted.")


class EventCatalogue(Document):
    """Every group of events and every type that is known."""

    groups: list[EventGroup] = Field(description="The groups, in the form's order.")
    unknown: list[UnknownEventType] | None = Field(
        None,
        description="With `unknown=true` alone: names that are not in the catalogue, the most "
        "frequent first, at most 1,000. Counted in batches, a few seconds late.",
        exclude_if=lambda value: value is None,
    )


class EventTypePut(PatchDocument):
    """An event type to add to the catalogue. One that was read may be sent back whole."""

    @classmethod
    def is_read_only(cls, name: str, value: object) -> bool:  # noqa: ARG003 - as declared above
        """Tell what a type has besides."""
        return name in {"name", "builtIn", "updatedAt"}

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
        str,
        Field(max_length=1000, description="When it is sent, in a sentence."),
        PRINTABLE,
        NULL_IS_DEFAULT,
    ] = ""
    format: Annotated[EventFormat, NULL_IS_DEFAULT] = Field(
        default=EventFormat.JSON, description="What the content is: `json`, or one `text`."
    )
    licensed: Annotated[Switch, NULL_IS_DEFAULT] = Field(
        default=False,
        description="Whether the licence rule for presence events covers it.",
    )
    example: EventExample


class CustomEventType(EventTypeDescription):
    """An event type that an administrator added to the catalogue."""

    updated_at: TimestampField = Field(description="When it was last changed.")


@router.get("", responses=failures(403, 422))
async def list_event_types(
    *,
    caller: AnyRole,
    services: ServicesDep,
    unknown: Annotated[
        Boolean,
        Query(
            description="Whether to list, for administrators, names that are in no catalogue. What "
            "other processes took is counted within ten seconds."
        ),
    ] = False,
) -> EventCatalogue:
    """List every event type.

    Groups and types come in the order in which a form should show them. PBXs may send types that
    are not listed yet; an integration that chose the whole group gets them too.
    """
    if unknown and not caller.is_admin:
        raise Forbidden("Unknown types are told to keys with the role 'admin' alone.")
    catalogue = await services.event_types.catalogue()
    return EventCatalogue(
        groups=[_group(group) for group in catalogue.groups],
        unknown=[_unknown(each) for each in await services.unknown_types.all()]
        if unknown
        else None,
    )


@router.put("/{type}", responses=failures(400, 403, 409, 413, 415, 422))
async def put_event_type(
    _caller: Admin,
    services: ServicesDep,
    type: TypePath,  # noqa: A002 - the parameter's name in the API
    description: Annotated[EventTypePut, Body(openapi_examples=EVENT_TYPE)],
) -> CustomEventType:
    """Add an event type to the catalogue, or change one that was added.

    Holds for the next accepted event, in every process: integrations that chose the whole group
    get it, forms list it and the test button sends its example. A built-in type is a 409, as is
    another group than the type has.
    """
    wanted = WantedType(
        group=description.group,
        title=description.title,
        description=description.description,
        format=description.format,
        licensed=description.licensed,
        example=description.example,
        read_only=description.read_only,
    )
    return _custom(await services.event_types.put(type, wanted))


@router.delete("/{type}", status_code=204, responses=failures(403, 404, 409, 422))
async def delete_event_type(
    _caller: Admin,
    services: ServicesDep,
    type: TypePath,  # noqa: A002 - the parameter's name in the API
) -> None:
    """Delete an event type that was added to the catalogue.

    Such events are accepted as before, and go by the naming rules. A built-in type is a 409, as is
    one that integrations chose by name.
    """
    await services.event_types.delete(type)


def _group(group: Group) -> EventGroup:
    return EventGroup(
        name=group.name,
        title=group.title,
        description=group.description,
        types=[EventTypeDescription(**_described(kind)) for kind in group.types],
    )


def _described(kind: EventType) -> Mapping[str, Any]:  # Any: a document's fields
    return {
        "name": kind.name,
        "group": kind.group,
        "title": kind.title,
        "description": kind.description,
        "format": kind.format,
        "licensed": kind.licensed,
        "built_in": kind.built_in,
        "example": kind.example,
    }


def _custom(kept: KeptType) -> CustomEventType:
    kind = kept.kind
    return CustomEventType(**_described(kind), updated_at=kept.updated_at)


def _unknown(found: UnknownType) -> UnknownEventType:
    return UnknownEventType(
        name=found.name,
        group=found.group,
        count=found.count,
        first_seen_at=found.first_seen_at,
        last_seen_at=found.last_seen_at,
    )
