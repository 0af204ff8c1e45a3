"""Batches accepted events, and stores each batch with one append statement."""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from uuid import UUID

import msgspec
from msgspec.structs import replace

from hookline.background import Slices, run_at_once
from hookline.dispatch.backpressure import Backpressure, demands_of
from hookline.dispatch.batching import Batcher
from hookline.dispatch.hand_over import HandOver
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.observer import NoObserver, Observer, Receipt
from hookline.domain.access import Tenant
from hookline.domain.deliveries import SkipReason
from hookline.domain.events import Event
from hookline.domain.ids import new_uuid
from hookline.domain.retries import replacement_key
from hookline.errors import HooklineError, Overloaded, QuotaExceeded
from hookline.history.roll_ups import FilteredEvents
from hookline.integrations.event_types import UnknownTypes
from hookline.integrations.subscription import Match, pass_filters
from hookline.integrations.subscriptions import Subscriptions
from hookline.queue.port import Appended, Claimed, NewDelivery, NewEvent, Queue, StaleSnapshot
from hookline.tracing import Tracing

_LARGEST = 1_000  # events and deliveries that a statement stores, but for a larger request alone
_HEAVY = 64  # of one request: others do not wait for the statement that stores it
_PAUSE = 0.001  # seconds; what a sender waits longer under load buys half the statements
_COPY = 2e-8  # seconds of CPU for a byte of a copy without what is omitted; calls take a half
MOST_REMATCHES = 20  # times that records may change while events are authorised and matched


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


class _Planned(msgspec.Struct, frozen=True, gc=False):
    stored: NewEvent
    deliveries: list[NewDelivery]
    leased: list[NewDelivery]  # those of them that are to be born leased
    waiting: list[str]  # the integrations of the others
    filtered: Sequence[str]  # integrations whose filters refused it


class Ingest:
    """Accepts events durably. A receipt means: stored, with everything that is to come of it.

    `lanes` is None in a process that has no engine. `start` is handed the deliveries that were born
    leased to this process, and when their leases were asked for by the lanes' clock; `wake` is
    called when others wait in the database for this process, and `announce` when some wait for
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
        announce: Callable[[Collection[str]], None],
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
        self._announce = announce
        self._hand_over = hand_over
        self._backpressure = backpressure or Backpressure.none()
        self._unknown_types = unknown_types
        self._filtered = filtered
        self._observer = observer or NoObserver()
        self._tracing = tracing
        self._slices = Slices()
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
        for _ in range(MOST_REMATCHES):
            revision = self._subscriptions.revision
            matches = [
                offer.match if offer.matched_at == revision else await self._match(offer.event)
                for offer in offers
            ]
            planned: dict[UUID, _Planned] = {}
            pairs = zip(offers, matches, strict=True)
            sizes = [(len(offer.event.payload), len(match.wanted)) for offer, match in pairs]
            small = self._hand_over is not None and self._hand_over.takes(sizes)
            hand_over = self._hand_over if small else None
            steps = self._plan_all(planned, digests, offers, matches, revision, hand_over)
            large = sum(wanted for _, wanted in sizes) > _LARGEST
            try:
                await self._slices.run(steps) if large else run_at_once(steps)
            except BaseException:
                self._free_places(planned.values())
                raise
            if not planned:
                return [Stale(revision)] * len(offers)
            asked_at = self._lanes.clock() if self._lanes is not None else 0.0
            result = await self._append(planned, revision)
            if isinstance(result, Appended):
                handed = self._start_born(planned.values(), result, revision, asked_at)
                if hand_over is not None and handed:
                    await hand_over.hand_over(handed, asked_at)
                self._count_filtered(planned.values(), result)
                return _answers(digests, offers, planned, result, revision)
            await self._subscriptions.catch_up(beyond=revision)
        raise Overloaded("Integrations change faster than events are matched.", retry_after=1.0)

    def _plan_all(  # noqa: PLR0913, PLR0917 - what `_flush` knows
        self,
        planned: dict[UUID, _Planned],
        digests: Sequence[UUID],
        offers: Sequence[_Offer],
        matches: Sequence[Match],
        revision: int,
        hand_over: HandOver | None,
    ) -> Generator[None]:
        """Plan each event that may be stored, into `planned`; a step for each.

        Once a lane has no place, none of its later deliveries gets one that is free meanwhile.
        """
        full: set[str] = set()
        for digest, offer, match in zip(digests, offers, matches, strict=True):
            if digest not in planned and not _is_stale(offer, revision):
                planned[digest] = self._plan(offer.event, match, digest, hand_over, full)
                yield

    def _plan(
        self,
        event: Event,
        match: Match,
        digest: UUID,
        hand_over: HandOver | None,
        full: set[str],
    ) -> _Planned:
        """Reserve places for the deliveries of a matched event that can start at once."""
        event_id = new_uuid()
        size = len(event.payload)
        deliveries: list[NewDelivery] = []
        born: list[NewDelivery] = []
        waiting: list[str] = []
        for subscription in match.wanted:
            integration_id = subscription.integration_id
            policy = self._subscriptions.policy_of(subscription, event.type)
            leased, holder = False, None
            if integration_id not in full:
                leased = self._lanes is not None and self._lanes.reserve(integration_id, size)
                if not leased and hand_over is not None:
                    holder = hand_over.holder_of(integration_id)
            delivery = NewDelivery(
                id=new_uuid(),
                event_id=event_id,
                integration_id=integration_id,
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
            deliveries.append(delivery)
            if delivery.leased:
                born.append(delivery)
            else:
                full.add(integration_id)
                waiting.append(integration_id)
        stored = NewEvent(event_id, event, digest, match.skipped)
        filtered = match.reasons.get(SkipReason.FILTERED, ())
        return _Planned(stored, deliveries, born, waiting, filtered)

    async def _append(
        self, planned: dict[UUID, _Planned], revision: int
    ) -> Appended | StaleSnapshot:
        result: Appended | StaleSnapshot | None = None
        try:
            result = await self._queue.append(
                [each.stored for each in planned.values()],
                [delivery for each in planned.values() for delivery in each.deliveries],
                revision=revision,
            )
            return result
        finally:
            if not isinstance(result, Appended):
                self._free_places(planned.values())

    def _start_born(
        self, planned: Iterable[_Planned], result: Appended, revision: int, asked_at: float
    ) -> dict[int, list[Claimed]]:
        """Start what was born leased, and announce what waits in the database.

        Returns what other processes hold, by their leases.
        """
        started: list[Claimed] = []
        handed: dict[int, list[Claimed]] = {}
        unused: list[_Planned] = []
        waiting: set[str] = set()
        for each in planned:
            if each.stored.id not in result.fresh:
                unused.append(each)
                continue
            waiting.update(each.waiting)
            for delivery in each.leased:
                if delivery.integration_id in result.behind:
                    self._free_place(delivery, each.stored)
                    waiting.add(delivery.integration_id)
                    continue
                job = self._claimed(delivery, each.stored.event, revision)
                if delivery.holder is None:
                    started.append(job)
                else:
                    handed.setdefault(delivery.holder, []).append(job)
        self._free_places(unused)
        elsewhere = self._expect(waiting)
        self._start(started, asked_at)
        if len(elsewhere) < len(waiting):
            self._wake()
        if elsewhere:
            self._announce(elsewhere)
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

    def _count_filtered(self, planned: Iterable[_Planned], result: Appended) -> None:
        if self._filtered is not None:
            for each in planned:
                if each.filtered and each.stored.id in result.fresh:
                    self._filtered.saw(each.filtered)

    def _free_places(self, planned: Iterable[_Planned]) -> None:
        for each in planned:
            for delivery in each.leased:
                self._free_place(delivery, each.stored)

    def _free_place(self, delivery: NewDelivery, stored: NewEvent) -> None:
        """Give up the place that was reserved for a delivery, if there is one."""
        if self._lanes is not None and delivery.holder is None:
            self._lanes.drop_reserved(delivery.integration_id, len(stored.event.payload))
            if self._lanes.schedule.wants_more(delivery.integration_id):
                self._wake()

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
    planned: dict[UUID, _Planned],
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
        each = planned[digest]
        fresh = each.stored.id in result.fresh
        event_id = each.stored.id if fresh else result.originals[digest]
        new = fresh and digest not in answered
        answered.add(digest)
        answers.append(Receipt(event_id, not new, len(each.deliveries) if new else 0))
    return answers
