"""A sink that does what a test says, and a directory of made-up integrations."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from hookline.domain.deliveries import ErrorKind, Sent, Verdict
from hookline.domain.selection import Selection
from hookline.domain.targets import Target, WebhookTarget
from hookline.integrations.subscriptions import Subscription
from hookline.sinks import Shipment

PATIENCE = 30.0  # seconds; far more than anything here takes

Answer = Callable[[Shipment], Awaitable[Sent]]


def sent(verdict: Verdict = Verdict.DELIVERED, *, retry_after: float | None = None) -> Sent:
    """Return what a sink says of one attempt."""
    error = None if verdict is Verdict.DELIVERED else ErrorKind.STATUS
    code = 200 if verdict is Verdict.DELIVERED else 503
    return Sent(verdict, datetime.now(UTC), 3, error, code, b"answer", retry_after)


class Script:
    """Answers each shipment as its integration's answer says; delivers where there is none."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.shipments: list[Shipment] = []
        self.under_way: Counter[UUID] = Counter()
        self.most_under_way: Counter[UUID] = Counter()
        self._changed = asyncio.Condition()

    async def send(self, shipment: Shipment) -> Sent:
        """Note the shipment and give its answer."""
        name = _integration(shipment)
        self.under_way[shipment.delivery_id] += 1
        at_once = self.under_way[shipment.delivery_id]
        self.most_under_way[shipment.delivery_id] = max(
            self.most_under_way[shipment.delivery_id], at_once
        )
        async with self._changed:
            self.shipments.append(shipment)
            self._changed.notify_all()
        try:
            answer = self.answers.get(name)
            return sent() if answer is None else await answer(shipment)
        finally:
            self.under_way[shipment.delivery_id] -= 1

    async def forget(self, target: Target) -> None:
        """Keep nothing."""

    async def aclose(self) -> None:
        """Close nothing."""

    def to(self, integration_id: str) -> list[UUID]:
        """Return the deliveries of an integration, attempt by attempt."""
        return [s.delivery_id for s in self.shipments if _integration(s) == integration_id]

    async def until_sent(self, count: int, *, to: str | None = None) -> None:
        """Wait for so many attempts, of one integration or of all."""

        def enough() -> bool:
            return len(self.shipments if to is None else self.to(to)) >= count

        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(enough)


def in_turn(*verdicts: Verdict) -> Answer:
    """Answer the attempts of each delivery with these verdicts in turn, the last one for ever."""
    attempts: Counter[UUID] = Counter()

    async def answer(shipment: Shipment) -> Sent:
        number = attempts[shipment.delivery_id]
        attempts[shipment.delivery_id] += 1
        return sent(verdicts[min(number, len(verdicts) - 1)])

    return answer


def after(event: asyncio.Event, verdict: Verdict = Verdict.DELIVERED) -> Answer:
    """Answer once the event is set."""

    async def answer(_shipment: Shipment) -> Sent:
        await event.wait()
        return sent(verdict)

    return answer


class Book:
    """Integrations that exist because a test says so; any name is one until it is struck out."""

    def __init__(self) -> None:
        self.revision = 1
        self.struck_out: set[str] = set()
        self.known_from: dict[str, int] = {}
        self.changes: dict[str, dict[str, object]] = {}
        self.caught_up: list[int | None] = []

    async def catch_up(self, beyond: int | None = None) -> None:
        """Know what exists as of now."""
        self.caught_up.append(beyond)
        self.revision = max([self.revision, *self.known_from.values()])

    def change(self, integration_id: str, **changes: object) -> None:
        """Make an integration differ from the usual one."""
        self.changes[integration_id] = changes

    @staticmethod
    def group_of(event_type: str) -> str | None:
        """Return the name's first word."""
        return event_type.split(":", maxsplit=1)[0]

    def find(self, integration_id: str) -> Subscription | None:
        """Return the integration, if it is known yet and not struck out."""
        if integration_id in self.struck_out:
            return None
        if self.known_from.get(integration_id, 0) > self.revision:
            return None
        usual = a_subscription(integration_id)
        return replace(usual, **self.changes.get(integration_id, {}))  # type: ignore[arg-type]  # a test's own words


def a_subscription(integration_id: str = "int001") -> Subscription:
    """Return an integration that wants all calls over a webhook named after it."""
    return Subscription(
        integration_id=integration_id,
        pbx="000000000001",
        company=None,
        enabled=True,
        selection=Selection((("call", "all"),)),
        max_in_flight=4,
        ordered=False,
        target=WebhookTarget(f"https://example.com/{integration_id}", ("a" * 32, "b" * 32)),
    )


def _integration(shipment: Shipment) -> str:
    return shipment.target.url.rpartition("/")[2]
