"""What the engine may rely on from a durable queue: few methods, each for a whole batch.

A delivery is *pending* until it is settled for good. While it is being attempted it is *leased*:
nobody else claims it, and only the holder's token settles it. A lease that is not settled in time
runs out by itself, and the delivery is due again: a process that dies loses nothing.
"""

from collections.abc import Collection, Sequence
from typing import Final, Protocol
from uuid import UUID

import msgspec

from hookline.domain.deliveries import ErrorKind, Outcome, Sent, SkipReason
from hookline.domain.events import Event

PENDING_CHANNEL: Final = "hookline_pending"  # NOTIFY says that deliveries wait: a hint


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An event to store, with the note of who does not get it. `event.pbx` is what routed it."""

    id: UUID
    event: Event
    digest: UUID
    skipped: str | None  # JSON text, reason → integration ids


class NewDelivery(msgspec.Struct, frozen=True, gc=False):
    """A delivery to store with its event.

    `leased` ones are born held by the caller or, with a `holder`, under another process's lease.
    """

    id: UUID
    event_id: UUID
    integration_id: str
    event_type: str
    ordering: str | None
    leased: bool
    max_age: float | None = None  # seconds after which it is not worth sending any more
    replacement_key: UUID | None = None  # newer ones of its integration with the same replace it
    omit: tuple[str, ...] | None = None  # paths that its copy leaves out
    holder: int | None = None  # a `new_lease` of the process that is to hold it


class Appended(msgspec.Struct, frozen=True, gc=False):
    """Which events are stored now; and for each digest seen before, the event it first was.

    In lanes that are `behind` something was due already, so nothing of theirs was born leased.
    """

    fresh: frozenset[UUID]
    originals: dict[UUID, UUID]
    behind: frozenset[str] = frozenset()


class StaleSnapshot(msgspec.Struct, frozen=True, gc=False):
    """Nothing was stored: integrations changed since the caller's snapshot."""

    revision: int


class Lane(msgspec.Struct, frozen=True, gc=False):
    """A request for at most `room` due deliveries of one integration."""

    integration_id: str
    room: int
    ordered: bool = False  # one at a time of each `ordering`, oldest first
    rate_limit: float | None = None  # deliveries a second; see `acquire_tokens`


class RateTokens(msgspec.Struct, frozen=True, gc=False):
    """How many deliveries a rate limit allows now, and in how many seconds the next one."""

    granted: int
    next_in: float


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """A delivery that is leased to the caller, with its event's canonical bytes."""

    id: UUID
    lease: int
    event_id: UUID
    integration_id: str
    attempts: int  # made so far
    claims: int  # leases taken so far, this one included
    once: bool  # asked for by hand: no automatic retry behind this attempt
    revision: int  # of integrations when it was leased: whoever delivers it must know that one
    event: Event
    manual: int = 0  # of `attempts` and the next one: those that were asked for by hand
    fresh_for: float | None = None  # seconds from when it was leased until it is stale
    replacement_key: UUID | None = None
    superseded: bool = False  # a newer one with its `replacement_key` waits, or is being sent
    last_error: ErrorKind | None = None  # of the attempt before the next one
    omit: tuple[str, ...] | None = None  # paths that its copy leaves out
    replay: UUID | None = None  # the job that queued it
    erased: bool = False  # nothing of the event is to be sent any more


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """What became of one leased delivery; `sent` is None where no attempt was made."""

    id: UUID
    lease: int
    outcome: Outcome
    number: int  # attempts made, this one included
    sent: Sent | None


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """An integration with deliveries that wait; the first is due in `due_in` seconds (or was).

    `ordered` tells whether those go one by one by subject; of one that was changed, some may, and
    others may not.
    """

    integration_id: str
    due_in: float
    ordered: bool = False


class QueueObserver(Protocol):
    """Is told of deliveries that have ended, once that is written."""

    def settled(self, batch: Sequence[Settlement], ours: Collection[UUID]) -> None:
        """Take note of outcomes, and of which deliveries were still ours to write."""

    def skipped(self, reason: SkipReason, deliveries: int) -> None:
        """Take note of so many deliveries that ended unclaimed."""


class Queue(Protocol):
    """The queue as dispatch/ sees it. Every method raises Unavailable while the store is away."""

    @property
    def lease_seconds(self) -> float:
        """How long a lease lasts from the moment that it was asked for, at the least."""

    async def append(
        self, events: Sequence[NewEvent], deliveries: Sequence[NewDelivery], *, revision: int
    ) -> Appended | StaleSnapshot:
        """Store events with their deliveries, all or nothing, without those seen before.

        Durable when it returns. Digests must differ within `events`. Stores nothing when
        `revision` is not the current one: the deliveries were made from an old snapshot. The order
        of the deliveries is kept, and none is born leased before what is due already: those that
        were to be, in lanes that are `behind`, wait as the others do.
        """

    async def take_over(self, lanes: Sequence[Lane]) -> set[str]:
        """Make lanes this engine's own; return those that it may claim from now on.

        The others are those of which another engine still holds deliveries. What waits is put
        into the lane's order, or out of it, where that was changed.
        """

    async def claim(self, lanes: Sequence[Lane], *, most_bytes: int) -> list[Claimed]:
        """Lease due deliveries of these lanes, oldest first, none that another holds.

        A delivery is as old as its acceptance until its first attempt, and then as its due time:
        a lease that is released, or runs out, changes nothing about that. Their payloads have
        `most_bytes` together at the most, except that one always comes. What one of them replaces,
        and nobody holds, is ended as superseded.
        """

    async def acquire_tokens(self, lanes: Sequence[Lane]) -> dict[str, RateTokens]:
        """Acquire tokens for deliveries of rate-limited lanes, each lane's `room` at the most.

        Exact over all processes: what is granted counts as gone. No lane exceeds its rate but by
        the tenth of a second's worth, or one, that may go at once.
        """

    async def refund_tokens(self, unused: Sequence[Lane]) -> None:
        """Refund tokens that found nothing to deliver, each lane's `room` of them."""

    async def backlog(self) -> dict[str, int]:
        """Return about how many deliveries of each integration are pending.

        Cheap, however many there are: of very many, those with few may be missing.
        """

    async def settle(self, batch: Sequence[Settlement]) -> set[UUID]:
        """Write what became of leased deliveries; return the ids that were still the caller's."""

    async def release(self, held: Sequence[Claimed]) -> None:
        """Release leases without an attempt: others may claim them at once."""

    async def release_lease(self, lease: int, *, but: Collection[UUID]) -> set[str]:
        """Release what bears a lease token, but these deliveries, without an attempt.

        Returns the integrations that have deliveries to claim by this.
        """

    async def renew(self, held: Sequence[tuple[UUID, int]]) -> set[UUID]:
        """Extend leases by their whole length; return the ids that were still the caller's."""

    async def waiting(self) -> list[Waiting]:
        """Return every integration with deliveries that nobody holds, expired leases included."""

    async def retry(self, delivery_id: UUID, *, ordered: bool) -> bool:
        """Make a delivery due now, a finished one for one more attempt; False: no such delivery.

        `ordered` tells whether its lane keeps order. One that was not due yet is an extra attempt.
        """

    async def skip(self, integration_id: str, reason: SkipReason, *, limit: int) -> int:
        """End at most `limit` deliveries that nobody holds as skipped; return how many."""
