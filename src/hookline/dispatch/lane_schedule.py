"""When lanes have work due in the database, and how much a process has room to claim for them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from hookline.dispatch.lane import LaneRules, LaneState
from hookline.dispatch.tenant_shares import Places, Share
from hookline.domain.access import Tenant
from hookline.queue.port import Claimed, Lane, Waiting

_REMEMBERED = 600.0  # seconds for which an answer shows that a target is not one of those
_NEVER = -1  # no term
_LOOK_AGAIN = 0.2  # seconds until a lane that others still hold deliveries of is looked at again
_TICK = 1e-9  # seconds between two moments that a coarse clock does not tell apart
_SHARE = 4  # no slow lane and no claim takes more than a quarter of what is free: some always is
_SHARE_OF_FAST = 2  # whose places are soon free again
_ENOUGH = 0.75  # of a lane's places: with more in hand, it is not claimed for


@dataclass(slots=True)
class Capacity:
    """What all lanes of a process hold together, of `most_held` deliveries and `most_bytes`.

    A lane gets a share of what is left, so that many lanes whose targets hang leave room for the
    others. All slow lanes share one half of both, and of that each tenant has a share.
    """

    most_held: int
    most_bytes: int
    held: int = 0
    bytes_held: int = 0
    slow: Places = field(init=False)  # of `most_held`, those of the slow lanes
    slow_bytes: Places = field(init=False)  # and of `most_bytes`

    def __post_init__(self) -> None:
        self.slow = Places(max(1, self.most_held // 2))
        self.slow_bytes = Places(max(1, self.most_bytes // 2))

    def shares_of(self, tenant: Tenant) -> tuple[Share, Share]:
        """Return a tenant's share of the slow lanes' places, and of their bytes."""
        return self.slow.share_of(tenant), self.slow_bytes.share_of(tenant)

    def hold(self, lane: LaneState, size: int) -> None:
        """Hold a place for a delivery that is being leased."""
        lane.held += 1
        lane.reserved += 1
        lane.bytes_held += size
        self.held += 1
        if lane.slow:
            lane.share.add(1)
            lane.byte_share.add(size)
        self.bytes_held += size

    def drop(self, lane: LaneState, size: int) -> None:
        """Drop a delivery."""
        lane.held -= 1
        lane.bytes_held -= size
        self.held -= 1
        if lane.slow:
            lane.share.add(-1)
            lane.byte_share.add(-size)
        self.bytes_held -= size

    def mark(self, lane: LaneState, clock: Callable[[], float]) -> None:
        """Count a lane among the slow ones, or no longer."""
        slow = lane.is_slow(clock)
        if lane.slow != slow:
            lane.slow = slow
            sign = 1 if slow else -1
            lane.share.add(sign * lane.held)
            lane.byte_share.add(sign * lane.bytes_held)

    def move(self, lane: LaneState, tenant: Tenant) -> None:
        """Have a lane count for whose it is now: it became known, or its PBX moved."""
        share, byte_share = self.shares_of(tenant)
        if share is not lane.share:
            if lane.slow:
                lane.share.add(-lane.held)
                share.add(lane.held)
                lane.byte_share.add(-lane.bytes_held)
                byte_share.add(lane.bytes_held)
            lane.share, lane.byte_share = share, byte_share

    def fits(self, lane: LaneState, size: int) -> bool:
        """Whether a lane may hold one more delivery, with a payload of that size."""
        if lane.ahead >= self.limit(lane, self.left(lane)):
            return False
        left = self._bytes_left(lane)
        return size <= left and lane.bytes_held <= left // _SHARE

    @property
    def bytes_to_claim(self) -> int:
        """How many bytes of payloads the next claim may bring; it may pass that by one payload."""
        return (self.most_bytes - self.bytes_held) // _SHARE

    def _bytes_left(self, lane: LaneState) -> int:
        left = self.most_bytes - self.bytes_held
        return min(left, lane.byte_share.room) if lane.slow else left

    def left(self, lane: LaneState, taken: int = 0) -> int:
        """Return how many places are free to this lane, besides those already taken."""
        left = self.most_held - self.held - taken
        return min(left, lane.share.room) if lane.slow else left

    def limit(self, lane: LaneState, left: int) -> int:
        """Return how many a lane may have ahead of it while `left` places are free to it."""
        if left <= 0:
            return 0
        share = left // (_SHARE if lane.slow else _SHARE_OF_FAST)
        return min(lane.rules.capacity(lane.limit.allowed), max(1, share))

    def room(self, lane: LaneState, taken: int = 0) -> int:
        """Return how many to ask for: few are not worth a round trip, and late ones idle."""
        left = self.left(lane, taken)
        if lane.rules.paused or lane.rules.elsewhere:
            return int(lane.probing and left > 0 and not lane.rules.elsewhere)
        limit = self.limit(lane, left)
        bytes_left = self._bytes_left(lane) // _SHARE
        too_large = lane.bytes_held > bytes_left or bytes_left <= 0
        return 0 if too_large or lane.ahead > limit * _ENOUGH else limit - lane.ahead


@dataclass(slots=True)
class LaneSchedule:
    """The lanes of a process, and what is known of their work in the database.

    `rules_of` tells what an integration is allowed, `owner_of` whose it is. Times are those of
    `moment`, in seconds.
    """

    rules_of: Callable[[str], LaneRules]
    owner_of: Callable[[str], Tenant]
    capacity: Capacity
    clock: Callable[[], float]
    lanes: dict[str, LaneState] = field(default_factory=dict)
    _noted: dict[str, None] = field(default_factory=dict)  # those with a `due_at`, in turn
    _not_ready: list[tuple[Lane, int]] = field(default_factory=list)
    _latest: float = 0.0
    _stopped_by: int = 0

    @property
    def leases_nothing(self) -> bool:
        """Whether nothing is to be leased for any lane; see `lease_nothing`."""
        return self._stopped_by > 0

    @contextmanager
    def lease_nothing(self) -> Iterator[None]:
        """Have nothing be claimed or born leased: something older may be found for any lane."""
        self._stopped_by += 1
        try:
            yield
        finally:
            self._stopped_by -= 1

    def moment(self) -> float:
        """Return the time; later calls return later times, whatever the clock's grain."""
        self._latest = max(self.clock(), self._latest + _TICK)
        return self._latest

    def expect(self, integration_id: str, due_in: float = 0.0) -> None:
        """Note that the database has, or will have in `due_in` seconds, work for a lane."""
        lane = self.lane(integration_id)
        due_at = self.clock() + due_in
        nearer = lane.due_at is None or due_at < lane.due_at
        if nearer:
            self.note(integration_id, lane, due_at)
        if nearer or due_in <= 0:  # a claim that is under way may have missed what is due now
            lane.noted_at = self.moment()

    @property
    def expecting(self) -> bool:
        """Whether the database is known to have work for any lane, now or later."""
        return bool(self._noted)

    def found(self, waiting: Sequence[Waiting], asked_at: float) -> None:
        """Take the database's word, as of `asked_at`, for what waits where.

        What was noted since then is newer and stays. Lanes without work or leases are forgotten,
        some minutes after their targets were last heard of.
        """
        for each in waiting:
            lane = self.lane(each.integration_id)
            if lane.ordered is not None and lane.ordered is not each.ordered:
                lane.taken_over = _NEVER  # its order was changed while this was being stored
            due_at = asked_at + each.due_in
            if lane.noted_at > asked_at and lane.due_at is not None:
                due_at = min(due_at, lane.due_at)
            self.note(each.integration_id, lane, due_at)
        named = {each.integration_id for each in waiting}
        for integration_id, lane in list(self.lanes.items()):
            self.capacity.move(lane, self.owner_of(integration_id))
            if integration_id not in named and lane.noted_at < asked_at:
                self.note(integration_id, lane, None)
                idle = lane.held == lane.releasing == 0
                if idle and lane.heard_at < asked_at - _REMEMBERED:
                    del self.lanes[integration_id]

    def claimable(self) -> list[Lane]:
        """Return the lanes with work due and a quarter of their places free, and what to ask for.

        Lanes that were asked for go behind the others: what is left is given out in turn. Those
        that are to be taken over first are left out, and told by `to_take_over`.
        """
        now = self.clock()
        taken = 0
        full: set[Share] = set()
        asked: list[Lane] = []
        slow: list[
            tuple[LaneState, int]
        ] = []  # what is asked for counts as held until all is asked
        for integration_id in [] if self.leases_nothing else list(self._noted):
            lane = self.lanes[integration_id]
            if lane.due_at is None or lane.due_at > now:
                continue
            if lane.slow and _is_full(lane.share, full):
                continue  # first of all: thousands may wait for a share of the slow half
            rules = lane.rules
            if rules.elsewhere or (rules.paused and not lane.probing):
                del self._noted[integration_id]  # until it is probed, resumed or found again
                continue
            if lane.ready_at(lane.due_at) > now or lane.unsure:
                continue
            self.capacity.mark(lane, self.clock)
            room = self.capacity.room(lane, taken)
            if room > 0 and not lane.is_ready():
                self._leave_out(integration_id, lane)
            elif room > 0:
                asked.append(Lane(integration_id, room, rules.ordered, rules.rate_limit))
                taken += room
                if lane.slow:
                    lane.share.add(room)
                    slow.append((lane, room))
                del self._noted[integration_id]
                self._noted[integration_id] = None
        for lane, room in slow:
            lane.share.add(-room)
        return asked

    def claimed(
        self, asked: Sequence[Lane], jobs: Sequence[Claimed], asked_at: float, *, most_bytes: int
    ) -> None:
        """Hold what was claimed; a lane that gave less than was asked for has no more due.

        Unless the claim was cut at its `most_bytes`: then nobody knows.
        """
        counts: dict[str, int] = {}
        for job in jobs:
            counts[job.integration_id] = counts.get(job.integration_id, 0) + 1
            self.capacity.hold(self.lane(job.integration_id), len(job.event.payload))
        if sum(len(job.event.payload) for job in jobs) >= most_bytes:
            return
        for request in asked:
            lane = self.lane(request.integration_id)
            got = counts.get(request.integration_id, 0)
            if got < request.room and lane.noted_at < asked_at:
                self.note(request.integration_id, lane, None)
            if got == 0:
                lane.probing = False

    def next_due(self) -> float | None:
        """Return in how many seconds a lane that can take it has work due; None: not known."""
        due: list[float] = []
        full: set[Share] = set()
        for integration_id in [] if self.leases_nothing else self._noted:
            lane = self.lanes[integration_id]
            if lane.due_at is None or (lane.slow and _is_full(lane.share, full)) or lane.unsure:
                continue
            self.capacity.mark(lane, self.clock)
            if self.capacity.room(lane) > 0:
                due.append(lane.ready_at(lane.due_at))
        return max(0.0, min(due) - self.clock()) if due else None

    def wants_more(self, integration_id: str) -> bool:
        """Tell whether to claim for a lane now."""
        lane = self.lanes[integration_id]
        if lane.due_at is None or lane.unsure or (lane.slow and lane.share.room <= 0):
            return False
        if self.capacity.room(lane) <= 0:
            return False
        return lane.ready_at(lane.due_at) <= self.clock()

    def with_work_due(self, integration_ids: Iterable[str]) -> list[str]:
        """Return those of these lanes that the database has work for now."""
        now = self.clock()
        return [
            each
            for each in integration_ids
            if (lane := self.lanes.get(each)) and lane.due_at is not None and lane.due_at <= now
            if not lane.rules.elsewhere
        ]

    def to_take_over(self) -> list[tuple[Lane, int]]:
        """Return the lanes that `claimable` left out, to be taken over first, and in which term."""
        found, self._not_ready = self._not_ready, []
        return found

    def took_over(self, asked: Sequence[tuple[Lane, int]], ready: set[str]) -> None:
        """Note which lanes were taken over; the others' deliveries are still in others' hands."""
        for request, term in asked:
            lane = self.lane(request.integration_id)
            if request.integration_id in ready:
                lane.taken_over, lane.ordered = term, request.ordered
            else:
                lane.look_again_at = self.clock() + _LOOK_AGAIN

    def note(self, integration_id: str, lane: LaneState, due_at: float | None) -> None:
        """Note when the database may have work for a lane; None: it has none that is known."""
        lane.due_at = due_at
        if due_at is None:
            self._noted.pop(integration_id, None)
        else:
            self._noted.setdefault(integration_id)

    def _leave_out(self, integration_id: str, lane: LaneState) -> None:
        """Have a lane taken over; where its order was changed, once what it holds has ended."""
        if lane.held and not lane.is_current():
            lane.look_again_at = self.clock() + _LOOK_AGAIN
        else:
            self._not_ready.append((Lane(integration_id, 0, lane.rules.ordered), lane.rules.term))

    def lane(self, integration_id: str) -> LaneState:
        """Return an integration's lane; there is one from now on."""
        lane = self.lanes.get(integration_id)
        if lane is None:
            shares = self.capacity.shares_of(self.owner_of(integration_id))
            lane = self.lanes[integration_id] = LaneState(self.rules_of(integration_id), *shares)
        return lane


def _is_full(share: Share, full: set[Share]) -> bool:
    """Whether a share has no room; `full` are those that had none before, while none is freed."""
    if share in full:
        return True
    if share.room > 0:
        return False
    full.add(share)
    return True
