"""Test deliveries and manual retries: sent because somebody asked for it.

They share nothing with deliveries that those could wait for, and few are under way at a time.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from hookline.dispatch.deliver import Sender
from hookline.domain.access import Principal, Tenant
from hookline.domain.catalogue import Catalogue, EventType
from hookline.domain.deliveries import Sent
from hookline.domain.events import Event, Limits, parse_event
from hookline.domain.ids import new_uuid
from hookline.domain.targets import TransmissionType
from hookline.errors import Conflict, FieldProblem, InvalidInput, NotFound, Overloaded
from hookline.history.repository import History
from hookline.history.schemas import Delivery
from hookline.integrations.subscriptions import Subscription, Subscriptions
from hookline.queue.port import Queue
from hookline.sinks import Sink

_MOST_TRIES = 3  # a delivery that settles while it is made due is neither here nor there, briefly
MOST_AT_ONCE: Final = 32  # test deliveries under way in a process
_MOST_PER_INTEGRATION = 2
_MOST_PER_TENANT = 4
_MOST_PER_COMPANY = 8  # its PBXs included: one of them leaves the others theirs
_MILLISECONDS = 1000  # in a second: envelopes count those


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of a test: the body as it was sent, the one attempt, and what the filter says."""

    delivery_id: UUID
    event_type: str
    body: bytes = field(repr=False)
    sent: Sent
    filtered_by: str | None = None  # the path by which the integration's filter refuses the example


class Tester:
    """Sends examples as what PBXs send is sent and signed, through sinks that are its own.

    `timeout`: seconds within which those sinks end an attempt.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        sinks: Mapping[TransmissionType, Sink],
        catalogue: Catalogue,
        *,
        timeout: float,
    ) -> None:
        self._subscriptions = subscriptions
        self._sender = Sender(sinks)
        self._catalogue = catalogue
        self._under_way = _UnderWay(retry_after=timeout)

    async def test(self, integration_id: str, event_type: str) -> Tested:
        """Send the example of a type to an integration, whether it is enabled or not.

        A failing target is a result. Raises NotFound for an integration that is deleted,
        InvalidInput for a type that is not in the catalogue, and Overloaded while as many are
        under way as may be.
        """
        await self._subscriptions.refresh()
        kind = self._catalogue.find(event_type)
        if kind is None:
            message = "There is no such event type; GET /v1/event-types lists all."
            raise InvalidInput(FieldProblem("type", message))
        subscription = self._subscriptions.find(integration_id)
        if subscription is None:
            raise NotFound(f"There is no integration {integration_id[:40]!a}.")
        event = self._example(kind, subscription)
        delivery_id = new_uuid()
        with self._under_way.one_more(integration_id, self._subscriptions.owner_of(integration_id)):
            sent = await self._sender.attempt(
                subscription,
                delivery_id,
                delivery_id,
                event,
                omit=subscription.omit,
                tells_headers=True,
            )
        copy = await self._sender.copies.of(delivery_id, event, subscription.omit)
        wanted = subscription.filter
        refusal = None if wanted is None else wanted.refusal(event.document())
        return Tested(delivery_id, event.type, copy.body_for(integration_id), sent, refusal)

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


class _UnderWay:
    """Counts test deliveries under way; one counts for its integration, its tenant and in all."""

    def __init__(self, *, retry_after: float) -> None:
        self._retry_after = retry_after
        self._counts: Counter[str] = Counter()

    @contextmanager
    def one_more(self, integration_id: str, owner: Tenant) -> Iterator[None]:
        """Count one more until the block ends. Raises Overloaded, which says what is too many."""
        bounds = _bounds(integration_id, owner)
        for whose, most in bounds.items():
            if self._counts[whose] >= most:
                raise Overloaded(
                    f"{most} test deliveries of {whose} are under way, and there may be no more at"
                    " a time; send this again when one of them has ended.",
                    retry_after=self._retry_after,
                )
        self._counts.update(bounds.keys())
        try:
            yield
        finally:
            self._counts -= Counter(bounds.keys())  # what comes to zero is dropped


def _bounds(integration_id: str, owner: Tenant) -> dict[str, int]:
    """Return how many may be under way of all that a test delivery counts for."""
    bounds = {f"integration {integration_id}": _MOST_PER_INTEGRATION, str(owner): _MOST_PER_TENANT}
    if owner.company is not None:
        bounds[f"company {owner.company} and its PBXs"] = _MOST_PER_COMPANY
    return bounds | {"all tenants": MOST_AT_ONCE}


def _of_company(subject: str, example: str, company: str) -> str:
    """Return the subject as the company's own: a user's is `<company>_<extension>`."""
    return company + subject.removeprefix(example) if subject.startswith(example) else subject


class ManualRetries:
    """Makes deliveries due now; `notify` tells whoever claims that something is."""

    def __init__(
        self,
        history: History,
        subscriptions: Subscriptions,
        queue: Queue,
        *,
        notify: Callable[[], None],
    ) -> None:
        self._history = history
        self._subscriptions = subscriptions
        self._queue = queue
        self._notify = notify

    async def retry(self, principal: Principal, delivery_id: UUID) -> Delivery:
        """Have one more attempt made, whatever became of the delivery; return it as it is then.

        A pending one is only made due: asking twice changes nothing. Raises NotFound, or Conflict
        where the integration is deleted or disabled, or the event is past its retention.
        """
        delivery = await self._history.delivery(principal, delivery_id)
        await self._subscriptions.refresh()
        ordered = self._ordered(delivery.integration_id)
        for _ in range(_MOST_TRIES):
            if await self._queue.retry(delivery_id, ordered=ordered):
                delivery = await self._history.delivery(principal, delivery_id)
                self._notify()
                return delivery
        raise Conflict("The event was erased, or is past its retention: it can't be sent again.")

    def _ordered(self, integration_id: str) -> bool:
        """Tell whether the integration keeps order; raise Conflict where it gets nothing."""
        subscription = self._subscriptions.find(integration_id)
        if subscription is None:
            raise Conflict("The integration was deleted; its deliveries can't be sent again.")
        if not subscription.enabled:
            raise Conflict("The integration is disabled; enable it first, then retry.")
        return subscription.ordered
