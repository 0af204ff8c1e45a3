"""Event types beyond the built-in catalogue: those that administrators add, and names yet unknown.

Added types count in all processes at once. Unknown names are counted, in memory first and then in
batches.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.errors import rerunnable
from hookline.db.models import CustomEventType, Integration, UnknownEventType
from hookline.db.statements import statement
from hookline.domain.catalogue import SERVICE, Catalogue, EventFormat, EventType
from hookline.domain.events import Limits, parse_event
from hookline.errors import (
    Conflict,
    FieldProblem,
    InvalidInput,
    MalformedBody,
    NotFound,
    TooLarge,
    Unavailable,
)
from hookline.integrations.revision import Transactions
from hookline.logs import get_logger

MOST_TYPES: Final = 500  # every process holds them in memory, and every form shows them
_EXAMPLE: Final = Limits(event_bytes=64 * 1024, depth=32)
MOST_NAMES: Final = 1_000  # that are kept, and that a process holds between two batches
_ADD = text(statement("integrations/count_unknown_types"))
_BOUND = text(statement("integrations/bound_unknown_types"))
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WantedType:
    """What an administrator says of an event type; `example` is a whole envelope."""

    group: str
    title: str
    description: str
    format: EventFormat
    licensed: bool
    example: dict[str, Any]  # any JSON
    read_only: Mapping[str, object] = field(default_factory=dict)  # as they were read


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
                _check_read_only(name, wanted.read_only, None)
                await _check_room(change.session)
                row = row or CustomEventType(name=name)
                row.deleted_at = None
            elif row.group != wanted.group:
                raise Conflict(
                    f"{name} is of the group {row.group}, where integrations may have chosen it:"
                    " delete it first to add it to another group."
                )
            else:
                _check_read_only(name, wanted.read_only, row.updated_at)
                if _says(row) == _said(wanted, example):
                    return KeptType(event_type_of(row), row.updated_at)
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


def _says(row: CustomEventType) -> tuple[object, ...]:
    return row.group, row.title, row.description, row.format, row.licensed, row.example


def _said(wanted: WantedType, example: bytes) -> tuple[object, ...]:
    form = wanted.format.value
    return wanted.group, wanted.title, wanted.description, form, wanted.licensed, example


def _check_read_only(name: str, sent: Mapping[str, object], updated_at: datetime | None) -> None:
    """Refuse read-only fields that say something else than the type, as it is shown."""
    right: Mapping[str, Callable[[object], bool]] = {
        "name": lambda value: value == name,
        "builtIn": lambda value: value is False,
        "updatedAt": lambda value: updated_at is None or _moment(value) == updated_at,
    }
    wrong = [each for each, value in sent.items() if not right[each](value)]
    if wrong:
        told = "This is read-only, and reads otherwise than was sent; leave it out."
        raise InvalidInput(*(FieldProblem(each, told) for each in wrong))


def _moment(value: object) -> datetime | None:
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return read if read is None or read.tzinfo is not None else read.replace(tzinfo=UTC)


async def _check_room(session: AsyncSession) -> None:
    kept = select(func.count()).where(CustomEventType.deleted_at.is_(None))
    if (await session.scalar(kept) or 0) >= MOST_TYPES:
        raise Conflict(f"There are {MOST_TYPES} custom event types, as many as there may be.")


@dataclass(frozen=True, slots=True)
class UnknownType:
    """A name that came in events and is not in the catalogue."""

    name: str
    group: str | None  # where the naming rules place it; None: nobody gets it
    count: int
    first_seen_at: datetime
    last_seen_at: datetime


class UnknownTypes:
    """One process's count, which it adds to what all processes counted.

    `run` is a task that its owner runs and cancels; a process that dies loses a batch.
    """

    def __init__(self, transactions: Transactions, catalogue: Catalogue) -> None:
        self._transactions = transactions
        self._catalogue = catalogue
        self._seen: Counter[str] = Counter()

    def saw(self, types: Iterable[str]) -> None:
        """Count the types of events that were accepted; returns at once."""
        find, seen = self._catalogue.find, self._seen
        for name in types:
            if find(name) is None and (name in seen or len(seen) < MOST_NAMES):
                seen[name] += 1

    @rerunnable
    async def flush(self) -> None:
        """Add what was counted. Raises Unavailable, and then it is kept."""
        seen = {name: count for name, count in self._seen.items() if not self._catalogue.find(name)}
        if not seen:
            self._seen.clear()
            return
        taken, self._seen = self._seen, Counter()
        added = {"names": list(seen), "counts": list(seen.values())}
        try:
            async with self._transactions.noting() as session:
                await session.execute(_ADD, added)
                await session.execute(_BOUND, {"most": MOST_NAMES})
        except Unavailable:
            self._seen = Counter(dict((self._seen + taken).most_common(MOST_NAMES)))
            raise

    async def aclose(self) -> None:
        """Add what was counted last."""
        try:
            await self.flush()
        except Unavailable:
            _LOG.warning("unknown_types.database_away")

    async def all(self) -> Sequence[UnknownType]:
        """Return the names that are still unknown, the most frequent first. Raises Unavailable."""
        await self.flush()
        query = select(UnknownEventType).order_by(
            UnknownEventType.count.desc(), UnknownEventType.name
        )
        async with self._transactions.reading() as session:
            rows = (await session.scalars(query.limit(MOST_NAMES))).all()
        return [
            UnknownType(
                row.name,
                self._catalogue.group_of(row.name),
                row.count,
                row.first_seen_at,
                row.last_seen_at,
            )
            for row in rows
            if self._catalogue.find(row.name) is None
        ]
