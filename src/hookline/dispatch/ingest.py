"""Batches accepted events, and stores each batch with one append statement."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from uuid import UUID

import msgspec
from msgspec.structs import replace

from hookline.dispatch.backpressure import Backpressure, demands_of
from hookline.dispatch.batching import Batcher
from hookline.dispatch.hand_over import HandOver
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.observer import NoObserver, Observer, Receipt
from hookline.dispatch.planning import Plan, PlannedEvent, Planner
from hookline.domain.access import Tenant
from hookline.domain.events import Event
from hookline.errors import HooklineError, Overloaded, QuotaExceeded
from hookline.history.roll_ups import FilteredEvents
from hookline.integrations.event_types import UnknownTypes
from hookline.integrations.subscription import Match, pass_filters
from hookline.integrations.subscriptions import Subscriptions
from hookline.queue.port import Appended, Claimed, NewDelivery, Queue, StaleSnapshot
from hookline.tracing import Tracing

_LARGEST = 1_000  # events and deliveries that a statement stores, but for a larger request alone
_HEAVY = 64  # of one request: others do not wait for the statement that stores it
_PAUSE = 0.001  # seconds; what a sender waits longer under load buys half the statements
_COPY = 2e-8  # seconds of CPU for a byte of a copy without what is omitted; calls take a half
_MOST_REMATCHES = 20  # times that records may change while events are authorised and matched


class Stale(msgspec.Struct, frozen=True, gc=False):
    """Nothing was stored: the events were authorised before this revision of the records."""

    revision: int


Charge = Callable[[float], object]
"""Is told the CPU seconds that a caller's events took."""


class _Offer(msgspec.Struct, frozen=True, gc=False):
    event: Event
    authorised_at: int | None  # a revision; None: the event needs no authorisation
    match: Match
    matched_at: int  # the revision of the snapshot that it was matched by


class Ingest:
    """Accepts events durably. A receipt means: stored, with everything that is to come of it.

    `lanes` is None in a process that has no engine. `start` is handed the deliveries that were born
    leased to this process, and when their leases were asked for by the lanes' clock; `wake` is
    called when others wait in the database for this process, and `notify` when some wait for
    another, unless `hand_over` hands those to it. `backpressure` says how much may wait.
    With `tracing`, deliveries continue the trace of the request that brought their event.
    """

    def __init__(  # noqa: PLR0913 - the composition root hands over each part by name
        self,
        queue: Queue,
        subscriptions: Subscriptions,
        lanes: Lanes | None,
        *,
        born_lease: int,
        start: Callable[[Sequence[Claimed], float], None],
        wake: Callable[[], None],
        notify: Callable[[Collection[str]], None],
        hand_over: HandOver | None = None,
        backpressure: Backpressure | None = None,
        unknown_types: UnknownTypes | None = None,
        filtered: FilteredEvents | None = None,
        observer: Observer | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._queue = queue
        self._subscriptions = subscriptions
        self._lanes = lanes
        self._born_lease = born_lease
        self._start = start
        self._wake = wake
        self._notify = notify
        self._planner = Planner(subscriptions, lanes, hand_over, largest=_LARGEST, wake=wake)
        self._backpressure = backpressure or Backpressure.none()
        self._unknown_types = unknown_types
        self._filtered = filtered
        self._observer = observer or NoObserver()
        self._tracing = tracing
        self._batcher = Batcher[_Offer, Receipt | Stale](
            self._flush, name="ingest", largest=_LARGEST, pause=_PAUSE, heavy=_HEAVY
        )

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """Store events of Hookline's own (routed) and have them delivered.

        Raises Unavailable while the database is away, Overloaded where a bound is reached, and
        QuotaExceeded where it is some tenants' own; then nothing is stored.
        """
        answer = await self._accept(events, None)
        assert not isinstance(answer, Stale)  # noqa: S101 - only what is authorised can be
        return answer

    async def accept_authorised(
        self, events: Sequence[Event], revision: int, charge: Charge | None = None
    ) -> list[Receipt] | Stale:
        """As `accept`, for events (routed) that their caller was authorised to send at `revision`.

        Where records changed since, nothing is stored: the caller authorises them again. `charge`
        is told what filters took, and what copies that leave something out will take.
        """
        if self._tracing is not None:  # attempts become parts of the caller's trace
            context = self._tracing.current()
            events = [replace(event, trace_context=context) for event in events]
        try:
            answer = await self._accept(events, revision, charge)
        except HooklineError as error:
            refused = error.refused if isinstance(error, QuotaExceeded) else events
            self._observer.refused(error, len(refused))
            raise
        if not isinstance(answer, Stale):
            self._observer.accepted(answer)
            if self._unknown_types is not None:
                pairs = zip(events, answer, strict=True)
                self._unknown_types.saw(event.type for event, told in pairs if not told.duplicate)
        return answer

    async def _accept(
        self, events: Sequence[Event], authorised_at: int | None, charge: Charge | None = None
    ) -> list[Receipt] | Stale:
        revision = self._subscriptions.revision
        matches = [await self._match(event, charge) for event in events]
        tenants = [self._subscriptions.tenant_of(event) for event in events]
        if self._lanes is not None:
            self._lanes.pace.saw(tenants)
        demands = demands_of(events, matches, tenants)
        if refused := await self._backpressure.acquire(demands):
            places = enumerate(tenants)
            raise QuotaExceeded({at: refused[each] for at, each in places if each in refused})
        made = Counter[Tenant]()
        receipts: list[Receipt] = []
        try:
            matched = zip(events, matches, strict=True)
            offers = [_Offer(event, authorised_at, match, revision) for event, match in matched]
            answers = await self._batcher.submit(
                offers,
                owners=frozenset(str(each.company or each) for each in tenants),
                weight=len(offers) + sum(len(match.wanted) for match in matches),
            )
            for tenant, answer in zip(tenants, answers, strict=True):
                if isinstance(answer, Stale):
                    return answer  # as the others are: they were authorised together
                made[tenant] += answer.deliveries
                receipts.append(answer)
        finally:
            self._backpressure.release(demands, made)
        return receipts

    async def _match(self, event: Event, charge: Charge | None = None) -> Match:
        """Say who gets an event, as integrations are known at this moment."""
        match = self._subscriptions.match(event)
        if match.conditional:
            match = await pass_filters(match, event, charge)
        if match.copies and charge is not None:  # made by whichever process sends them
            charge(match.copies * len(event.payload) * _COPY)
        return match

    async def idle(self) -> None:
        """Return when everything that was handed in is answered."""
        await self._batcher.idle()

    async def _flush(self, offers: Sequence[_Offer]) -> list[Receipt | Stale]:
        digests = [offer.event.digest(offer.event.pbx) for offer in offers]
        for _ in range(_MOST_REMATCHES):
            revision = self._subscriptions.revision
            matches = [
                offer.match if offer.matched_at == revision else await self._match(offer.event)
                for offer in offers
            ]
            plan = await self._planner.plan(
                (digest, offer.event, match)
                for digest, offer, match in zip(digests, offers, matches, strict=True)
                if not _is_stale(offer, revision)
            )
            if not plan.events:
                return [Stale(revision)] * len(offers)
            asked_at = self._lanes.clock() if self._lanes is not None else 0.0
            result = await self._append(plan, revision)
            if isinstance(result, Appended):
                handed = self._start_born(plan, result, revision, asked_at)
                if plan.hand_over is not None and handed:
                    await plan.hand_over.hand_over(handed, asked_at)
                self._count_filtered(plan, result)
                return _answers(digests, offers, plan, result, revision)
            await self._subscriptions.catch_up(beyond=revision)
        raise Overloaded("Integrations change faster than events are matched.", retry_after=1.0)

    async def _append(self, plan: Plan, revision: int) -> Appended | StaleSnapshot:
        result: Appended | StaleSnapshot | None = None
        try:
            result = await self._queue.append(
                [each.stored for each in plan.events.values()],
                [delivery for each in plan.events.values() for delivery in each.deliveries],
                revision=revision,
            )
            return result
        finally:
            if not isinstance(result, Appended):
                self._planner.drop(plan.events.values())

    def _start_born(
        self, plan: Plan, result: Appended, revision: int, asked_at: float
    ) -> dict[int, list[Claimed]]:
        """Start what was born leased, and notify the others of what waits in the database.

        Returns what other processes hold, by their leases.
        """
        started: list[Claimed] = []
        handed: dict[int, list[Claimed]] = {}
        unused: list[PlannedEvent] = []
        waiting: set[str] = set()
        for each in plan.events.values():
            if each.stored.id not in result.fresh:
                unused.append(each)
                continue
            waiting.update(each.waiting)
            for delivery in each.leased:
                if delivery.integration_id in result.behind:
                    self._planner.drop_reserved(delivery, each.stored)
                    waiting.add(delivery.integration_id)
                    continue
                job = self._claimed(delivery, each.stored.event, revision)
                if delivery.holder is None:
                    started.append(job)
                else:
                    handed.setdefault(delivery.holder, []).append(job)
        self._planner.drop(unused)
        elsewhere = self._expect(waiting)
        self._start(started, asked_at)
        if len(elsewhere) < len(waiting):
            self._wake()
        if elsewhere:
            self._notify(elsewhere)
        return handed

    def _expect(self, waiting: Collection[str]) -> list[str]:
        """Note that these have something waiting; return those whose lanes are elsewhere."""
        elsewhere: list[str] = []
        for integration_id in waiting:
            if self._lanes is None or self._lanes.is_elsewhere(integration_id):
                elsewhere.append(integration_id)
            else:
                self._lanes.schedule.expect(integration_id)
        return elsewhere

    def _count_filtered(self, plan: Plan, result: Appended) -> None:
        if self._filtered is not None:
            for each in plan.events.values():
                if each.filtered and each.stored.id in result.fresh:
                    self._filtered.saw(each.filtered)

    def _claimed(self, delivery: NewDelivery, event: Event, revision: int) -> Claimed:
        return Claimed(
            id=delivery.id,
            lease=delivery.holder or self._born_lease,
            event_id=delivery.event_id,
            integration_id=delivery.integration_id,
            attempts=0,
            claims=1,
            once=False,
            revision=revision,
            event=event,
            fresh_for=delivery.max_age,
            replacement_key=delivery.replacement_key,
            omit=delivery.omit,
        )


def _is_stale(offer: _Offer, revision: int) -> bool:
    return offer.authorised_at is not None and offer.authorised_at < revision


def _answers(
    digests: Sequence[UUID],
    offers: Sequence[_Offer],
    plan: Plan,
    result: Appended,
    revision: int,
) -> list[Receipt | Stale]:
    """Answer each event in order; of equal ones the first is new, if the store found it so."""
    answered: set[UUID] = set()
    answers: list[Receipt | Stale] = []
    for digest, offer in zip(digests, offers, strict=True):
        if _is_stale(offer, revision):
            answers.append(Stale(revision))
            continue
        each = plan.events[digest]
        fresh = each.stored.id in result.fresh
        event_id = each.stored.id if fresh else result.originals[digest]
        new = fresh and digest not in answered
        answered.add(digest)
        answers.append(Receipt(event_id, not new, len(each.deliveries) if new else 0))
    return answers
