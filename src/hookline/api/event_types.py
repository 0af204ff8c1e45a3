"""`/v1/event-types`: the catalogue."""

from fastapi import APIRouter

from hookline.api.auth import AnyRole
from hookline.api.deps import ServicesDep
from hookline.api.guarded import GuardedRoute
from hookline.api.responses import failures
from hookline.api.schemas import EventCatalogue, EventGroup, EventTypeDescription
from hookline.domain.catalogue import EventType, Group

router = APIRouter(prefix="/v1/event-types", tags=["Event types"], route_class=GuardedRoute)


@router.get("", responses=failures(422))
async def list_event_types(_caller: AnyRole, services: ServicesDep) -> EventCatalogue:
    """List every event type.

    Groups and types come in the order in which a form should show them. PBXs may send types that
    are not listed yet; an integration that chose the whole group gets them too.
    """
    return EventCatalogue(groups=[_group(group) for group in services.catalogue.groups])


def _group(group: Group) -> EventGroup:
    return EventGroup(
        name=group.name,
        title=group.title,
        description=group.description,
        types=[_type(kind) for kind in group.types],
    )


def _type(kind: EventType) -> EventTypeDescription:
    return EventTypeDescription(
        name=kind.name,
        title=kind.title,
        description=kind.description,
        format=kind.format,
        licensed=kind.licensed,
        example=kind.example,
    )
