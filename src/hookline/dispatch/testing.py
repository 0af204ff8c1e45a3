"""The test button: the catalogue's example of a type, sent once and now, and nothing stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from hookline.dispatch.deliver import attempt
from hookline.domain.catalogue import Catalogue, EventType
from hookline.domain.deliveries import Sent
from hookline.domain.events import Event, Limits, parse_event
from hookline.domain.ids import new_uuid
from hookline.domain.targets import TransmissionType
from hookline.errors import FieldProblem, InvalidInput, NotFound
from hookline.integrations.subscriptions import Subscription, Subscriptions
from hookline.sinks.base import Sink

_MILLISECONDS = 1000  # in a second: envelopes count those


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of a test: the body as it was sent, and the one attempt."""

    delivery_id: UUID
    event_type: str
    body: bytes = field(repr=False)
    sent: Sent


class Tester:
    """Sends examples through the same sinks, signed in the same way, as what PBXs send."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        sinks: Mapping[TransmissionType, Sink],
        catalogue: Catalogue,
    ) -> None:
        self._subscriptions = subscriptions
        self._sinks = sinks
        self._catalogue = catalogue

    async def test(self, integration_id: str, event_type: str) -> Tested:
        """Send the example of a type to an integration, whether it is enabled or not.

        A failing target is a result. Raises NotFound for an integration that is deleted, and
        InvalidInput for a type that is not in the catalogue.
        """
        kind = self._catalogue.find(event_type)
        if kind is None:
            message = "There is no such event type; GET /v1/event-types lists all."
            raise InvalidInput(FieldProblem("type", message))
        await self._subscriptions.catch_up()
        subscription = self._subscriptions.find(integration_id)
        if subscription is None:
            raise NotFound(f"There is no integration {integration_id[:40]!a}.")
        event = self._example(kind, subscription)
        delivery_id = new_uuid()
        sent = await attempt(self._sinks, subscription, delivery_id, event)
        return Tested(delivery_id, event.type, event.body_for(integration_id), sent)

    def _example(self, kind: EventType, subscription: Subscription) -> Event:
        """Return the catalogue's example, of now and from the integration's own PBX and company."""
        envelope: dict[str, Any] = dict(kind.example)  # Any: a JSON document
        pbx = subscription.pbx
        known = self._subscriptions.company_of(pbx) if pbx is not None else None
        company = subscription.company or known or envelope["company"]
        if "pbx" in envelope and pbx is not None:
            envelope["pbx"] = pbx
        elif pbx is None:
            envelope.pop("pbx", None)  # a company's integration gets events without one
        envelope["id"] = _of_company(envelope["id"], envelope["company"], company)
        envelope["company"] = company
        envelope["time"] = int(datetime.now(UTC).timestamp() * _MILLISECONDS)
        return parse_event(orjson.dumps(envelope), Limits())


def _of_company(subject: str, example: str, company: str) -> str:
    """Return the subject as the company's own: a user's is `<company>_<extension>`."""
    return company + subject.removeprefix(example) if subject.startswith(example) else subject
