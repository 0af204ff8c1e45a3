"""Event types that administrators add to the catalogue, for all processes at once."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.away import rerunnable
from hookline.db.models import CustomEventType, Integration, UnknownEventType
from hookline.domain.catalogue import SERVICE, Catalogue, EventFormat, EventType
from hookline.domain.events import Limits, parse_event
from hookline.errors import Conflict, FieldProblem, InvalidInput, MalformedBody, NotFound, TooLarge
from hookline.integrations.revision import Transactions

MOST_TYPES: Final = 500  # every process holds them in memory, and every form shows them
_EXAMPLE: Final = Limits(event_bytes=64 * 1024, depth=32)


@dataclass(frozen=True, slots=True)
class WantedType:
    """What an administrator says of an event type; `example` is a whole envelope."""

    group: str
    title: str
    description: str
    format: EventFormat
    licensed: bool
    example: dict[str, Any]  # any JSON


@dataclass(frozen=True, slots=True)
class KeptType:
    """A custom event type, and when it was last changed."""

    kind: EventType
    updated_at: datetime


class EventTypeService:
    """The one writer of the table `event_types`. Every method commits before it returns.

    `catalogue` is the one that snapshots bring up to date; `refresh` has them do so now.
    """

    def __init__(
        self,
        transactions: Transactions,
        catalogue: Catalogue,
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        self._transactions = transactions
        self._catalogue = catalogue
        self._refresh = refresh

    async def catalogue(self) -> Catalogue:
        """Return the catalogue with all that was added up to now, in any process."""
        await self._refresh()
        return self._catalogue

    @rerunnable
    async def put(self, name: str, wanted: WantedType) -> KeptType:
        """Add an event type to the catalogue, or change one that was added.

        Raises Conflict for a built-in or reserved name, for another group than it has, and where
        there are too many; InvalidInput for a group that is not there or an example that is not
        an event of this type.
        """
        example = self._checked(name, wanted)
        async with self._transactions.changing() as change:
            row = await change.session.get(CustomEventType, name)
            if row is None or row.deleted_at is not None:
                await _check_room(change.session)
                row = row or CustomEventType(name=name)
                row.deleted_at = None
            elif row.group != wanted.group:
                raise Conflict(
                    f"{name} is of the group {row.group}, where integrations may have chosen it:"
                    " delete it first to add it to another group."
                )
            row.group, row.title, row.description = wanted.group, wanted.title, wanted.description
            row.format, row.licensed = wanted.format.value, wanted.licensed
            row.example = example
            row.updated_at = datetime.now(UTC)
            row.revision = change.revision
            change.session.add(row)
            await change.session.execute(
                delete(UnknownEventType).where(UnknownEventType.name == name)
            )
        return KeptType(event_type_of(row), row.updated_at)

    @rerunnable
    async def delete(self, name: str) -> None:
        """Take a custom event type out of the catalogue; its events go on by the naming rules.

        Raises NotFound, and Conflict for a built-in type or one that integrations chose by name.
        """
        self._refuse_built_in(name)
        async with self._transactions.changing() as change:
            row = await change.session.get(CustomEventType, name)
            if row is None or row.deleted_at is not None:
                raise NotFound(f"There is no custom event type {name}.")
            chosen = select(func.count()).where(
                Integration.deleted_at.is_(None),
                Integration.events[row.group].contains([name]),
            )
            if count := await change.session.scalar(chosen):
                raise Conflict(
                    f"{count} integration{'s' if count > 1 else ''} chose {name} by name: have"
                    " them choose otherwise first."
                )
            row.deleted_at = datetime.now(UTC)
            row.revision = change.revision

    def _checked(self, name: str, wanted: WantedType) -> bytes:
        """Return the canonical form of the example."""
        self._refuse_built_in(name)
        if wanted.group == SERVICE or self._catalogue.is_reserved(name):
            raise Conflict("The group service and its names are Hookline's own events.")
        if self._catalogue.group(wanted.group) is None:
            groups = ", ".join(g.name for g in self._catalogue.groups if g.name != SERVICE)
            raise InvalidInput(FieldProblem("group", f"There is no such group; allowed: {groups}."))
        try:
            event = parse_event(json.dumps(wanted.example).encode(), _EXAMPLE)
        except InvalidInput as error:
            paths = (FieldProblem(f"example.{each.path}", each.message) for each in error.fields)
            raise InvalidInput(*paths) from error
        except (MalformedBody, TooLarge) as error:
            raise InvalidInput(FieldProblem("example", str(error))) from error
        if event.type != name:
            message = f"This must be the type that is added, {name}."
            raise InvalidInput(FieldProblem("example.type", message))
        return event.payload

    def _refuse_built_in(self, name: str) -> None:
        known = self._catalogue.find(name)
        if known is not None and known.built_in:
            raise Conflict(f"{name} is built in and cannot be changed.")


def event_type_of(row: CustomEventType) -> EventType:
    """Return the event type that a row keeps."""
    return EventType(
        name=row.name,
        group=row.group,
        title=row.title,
        description=row.description,
        format=EventFormat(row.format),
        licensed=row.licensed,
        example=json.loads(row.example),
        schema={},
        built_in=False,
    )


async def _check_room(session: AsyncSession) -> None:
    kept = select(func.count()).where(CustomEventType.deleted_at.is_(None))
    if (await session.scalar(kept) or 0) >= MOST_TYPES:
        raise Conflict(f"There are {MOST_TYPES} custom event types, as many as there may be.")
