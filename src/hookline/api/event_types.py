"""`/v1/event-types`: the catalogue, and what administrators add to it."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query

from hookline.api.auth import Admin, AnyRole
from hookline.api.bounded_body import GuardedRoute
from hookline.api.examples import EVENT_TYPE
from hookline.api.parameters import Boolean
from hookline.api.responses import failures
from hookline.api.schemas import (
    CustomEventType,
    EventCatalogue,
    EventGroup,
    EventTypeDescription,
    EventTypePut,
    UnknownEventType,
)
from hookline.api.services import ServicesDep
from hookline.domain.catalogue import EventType, Group
from hookline.errors import Forbidden
from hookline.integrations.event_types import KeptType, UnknownType, WantedType

router = APIRouter(prefix="/v1/event-types", tags=["Event types"], route_class=GuardedRoute)

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


@router.get("", responses=failures(403, 422))
async def list_event_types(
    *,
    caller: AnyRole,
    services: ServicesDep,
    unknown: Annotated[
        Boolean,
        Query(description="Whether to list, for administrators, names that are in no catalogue."),
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
        "title": kind.title,
        "description": kind.description,
        "format": kind.format,
        "licensed": kind.licensed,
        "built_in": kind.built_in,
        "example": kind.example,
    }


def _custom(kept: KeptType) -> CustomEventType:
    kind = kept.kind
    return CustomEventType(**_described(kind), group=kind.group, updated_at=kept.updated_at)


def _unknown(found: UnknownType) -> UnknownEventType:
    return UnknownEventType(
        name=found.name,
        group=found.group,
        count=found.count,
        first_seen_at=found.first_seen_at,
        last_seen_at=found.last_seen_at,
    )
