"""Plans what is stored of a batch of events: their deliveries, and which are born leased."""

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from uuid import UUID

import msgspec

from hookline.background import Slices, run_at_once
from hookline.dispatch.hand_over import HandOver
from hookline.dispatch.lanes import Lanes
from hookline.domain.deliveries import SkipReason
from hookline.domain.events import Event
from hookline.domain.ids import new_uuid
from hookline.domain.retries import replacement_key
from hookline.integrations.subscription import Match, Subscription
from hookline.integrations.subscriptions import Subscriptions
from hookline.queue.port import NewDelivery, NewEvent


class PlannedEvent(msgspec.Struct, frozen=True, gc=False):
    """What is to be stored of one event."""

    stored: NewEvent
    deliveries: list[NewDelivery]
    leased: list[NewDelivery]  # those of them that are to be born leased
    waiting: list[str]  # the integrations of the others
    filtered: Sequence[str]  # integrations whose filters refused it


class Plan(msgspec.Struct, frozen=True, gc=False):
    """What is to be stored of a batch."""

    events: dict[UUID, PlannedEvent]  # by their digests, in order
    hand_over: HandOver | None  # where some may be born leased to other processes


class Planner:
    """Reserves places in lanes for what can start at once.

    `lanes` is None in a process that has no engine. What is born leased to other processes goes by
    `hand_over`. Batches of more than `largest` deliveries are planned in slices. `wake` is called
    when a place is freed that others wait for.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        lanes: Lanes | None,
        hand_over: HandOver | None,
        *,
        largest: int,
        wake: Callable[[], None],
    ) -> None:
        self._subscriptions = subscriptions
        self._lanes = lanes
        self._hand_over = hand_over
        self._largest = largest
        self._wake = wake
        self._slices = Slices()

    async def plan(self, matched: Iterable[tuple[UUID, Event, Match]]) -> Plan:
        """Plan each matched event, by its digest; of equal ones the first.

        The places that are reserved for them are to be dropped, unless they are used.
        """
        batch = list(matched)
        sizes = [(len(event.payload), len(match.wanted)) for _, event, match in batch]
        small = self._hand_over is not None and self._hand_over.takes(sizes)
        plan = Plan({}, self._hand_over if small else None)
        steps = self._plan_each(batch, plan)
        large = sum(wanted for _, wanted in sizes) > self._largest
        try:
            await self._slices.run(steps) if large else run_at_once(steps)
        except BaseException:
            self.drop(plan.events.values())
            raise
        return plan

    def _plan_each(
        self, batch: Collection[tuple[UUID, Event, Match]], plan: Plan
    ) -> Generator[None]:
        """Plan an event a step; a lane that once had no place gets none that is freed meanwhile."""
        full: set[str] = set()
        for digest, event, match in batch:
            if digest not in plan.events:
                plan.events[digest] = self._plan(event, match, digest, plan.hand_over, full)
                yield

    def _plan(
        self,
        event: Event,
        match: Match,
        digest: UUID,
        hand_over: HandOver | None,
        full: set[str],
    ) -> PlannedEvent:
        event_id = new_uuid()
        size = len(event.payload)
        deliveries: list[NewDelivery] = []
        born: list[NewDelivery] = []
        waiting: list[str] = []
        for subscription in match.wanted:
            integration_id = subscription.integration_id
            leased, holder = False, None
            if integration_id not in full:
                leased, holder = self._place(integration_id, size, hand_over)
            delivery = self._delivery(event, event_id, subscription, leased, holder)
            deliveries.append(delivery)
            if delivery.leased:
                born.append(delivery)
            else:
                full.add(integration_id)
                waiting.append(integration_id)
        stored = NewEvent(event_id, event, digest, match.skipped)
        filtered = match.reasons.get(SkipReason.FILTERED, ())
        return PlannedEvent(stored, deliveries, born, waiting, filtered)

    def _delivery(
        self,
        event: Event,
        event_id: UUID,
        subscription: Subscription,
        leased: bool,  # noqa: FBT001 - a private step
        holder: int | None,
    ) -> NewDelivery:
        policy = self._subscriptions.policy_of(subscription, event.type)
        return NewDelivery(
            id=new_uuid(),
            event_id=event_id,
            integration_id=subscription.integration_id,
            event_type=event.type,
            ordering=event.subject if subscription.ordered else None,
            leased=leased or holder is not None,
            max_age=policy.max_age,
            replacement_key=replacement_key(event.type, event.subject)
            if policy.keep_latest
            else None,
            omit=subscription.omit,
            holder=holder,
        )

    def _place(
        self, integration_id: str, size: int, hand_over: HandOver | None
    ) -> tuple[bool, int | None]:
        """Reserve a place here; else return the lease of the process that has the lane."""
        if self._lanes is not None and self._lanes.reserve(integration_id, size):
            return True, None
        return False, None if hand_over is None else hand_over.holder_of(integration_id)

    def drop(self, planned: Iterable[PlannedEvent]) -> None:
        """Drop all places that were reserved for these."""
        for each in planned:
            for delivery in each.leased:
                self.drop_reserved(delivery, each.stored)

    def drop_reserved(self, delivery: NewDelivery, stored: NewEvent) -> None:
        """Drop the place that was reserved for a delivery, if there is one."""
        if self._lanes is not None and delivery.holder is None:
            self._lanes.drop_reserved(delivery.integration_id, len(stored.event.payload))
            if self._lanes.schedule.wants_more(delivery.integration_id):
                self._wake()
