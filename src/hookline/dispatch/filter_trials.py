"""Tries a filter and what copies leave out on events, without sending anything."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import orjson

from hookline.domain.access import Principal
from hookline.domain.catalogue import Catalogue
from hookline.domain.events import Event, Limits, parse_event
from hookline.domain.filters import Filter
from hookline.domain.omissions import path_warnings, without
from hookline.errors import FieldProblem, InvalidInput, MalformedBody, NotFound, TooLarge
from hookline.history.repository import History
from hookline.history.statements import WantedEvents
from hookline.integrations.subscriptions import Subscriptions

MOST_EVENTS: Final = 100
MOST_SHOWN: Final = 1024 * 1024  # bytes of copies that one answer shows; sizes are always told
_MOST_READ: Final = 4 * 1024 * 1024  # bytes of an integration's last events
_SOMEBODY: Final = "s95eum"  # whose copies are made where no integration is named


@dataclass(frozen=True, slots=True)
class Sample:
    """An event to try: as it is stored, under its id, or as it was parsed already."""

    event: Event | bytes = field(repr=False)
    event_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """Whether an event passes, or which path says no; and its copy, the first ones with bytes."""

    event_id: UUID | None
    event_type: str
    refused_by: str | None
    size: int
    body: bytes | None = field(repr=False)


class FilterTrials:
    """Finds events to try a filter on."""

    def __init__(
        self, history: History, subscriptions: Subscriptions, catalogue: Catalogue
    ) -> None:
        self._history = history
        self._subscriptions = subscriptions
        self._catalogue = catalogue

    def examples(self) -> list[Sample]:
        """Return the catalogue's examples, those that PBXs send."""
        kinds = [kind for kind in self._catalogue.types if kind.example]
        return [Sample(parse_event(orjson.dumps(dict(k.example)), Limits())) for k in kinds]

    def warnings(
        self, pattern: Filter | None, omit: Sequence[str], integration_id: str | None
    ) -> list[FieldProblem]:
        """Warn of paths that no example has: of an integration's types, or of any."""
        known = self._subscriptions.find(integration_id) if integration_id else None
        kinds = self._catalogue.types
        if known is not None:
            kinds = tuple(kind for kind in kinds if known.selection.wants(kind.name, kind.group))
        return path_warnings(pattern, omit, kinds)

    async def last_events(self, principal: Principal, integration_id: str) -> list[Sample]:
        """Return the last events, at most 100, that an integration would have got without a filter.

        They are found among the last ones of its PBX or company. Raises NotFound.
        """
        await self._subscriptions.refresh()
        known = self._subscriptions.find(integration_id)
        if known is None:
            raise NotFound(f"There is no integration {integration_id[:40]!a}.")
        wanted = WantedEvents(pbx=known.pbx, company=None if known.pbx else known.company)
        found = await self._history.last_events(principal, wanted, most=MOST_EVENTS)
        chosen = [
            each.event_id
            for each in found
            if each.pbx == known.pbx
            and self._subscriptions.would_get(known, each.pbx, each.type, each.subject)
        ]
        payloads = await self._history.payloads(chosen, most_bytes=_MOST_READ)
        return [Sample(raw, each) for each, raw in payloads.items()]


def given_events(documents: Sequence[object], limits: Limits) -> list[Sample]:
    """Check events that were sent along. Raises InvalidInput with the place of what is wrong."""
    return [Sample(_given(document, place, limits)) for place, document in enumerate(documents)]


def try_in_steps(
    samples: Sequence[Sample],
    pattern: Filter | None,
    omit: Sequence[str],
    integration_id: str | None,
) -> Generator[None, None, list[Tried]]:
    """Try one event a step."""
    tried: list[Tried] = []
    shown = 0
    for sample in samples:
        event = sample.event
        if isinstance(event, bytes):
            event = parse_event(event, _STORED)
            yield
        refused_by = pattern.refusal(event.document()) if pattern is not None else None
        copy = without(event, omit) if omit else event
        body = copy.body_for(integration_id or _SOMEBODY)
        shown += len(body)
        visible = body if shown <= MOST_SHOWN else None
        tried.append(Tried(sample.event_id, event.type, refused_by, len(body), visible))
        yield
    return tried


def _given(document: object, place: int, limits: Limits) -> Event:
    try:
        return parse_event(orjson.dumps(document), limits)
    except InvalidInput as error:
        raise InvalidInput(*_within(error, place)) from error
    except (MalformedBody, TooLarge) as error:
        raise InvalidInput(FieldProblem(f"events[{place}]", str(error))) from error


def _within(error: InvalidInput, place: int) -> Iterator[FieldProblem]:
    for each in error.fields:
        yield FieldProblem(f"events[{place}].{each.path}", each.message)


_STORED: Final = Limits(event_bytes=64 * 1024 * 1024, depth=200)  # they were accepted once
