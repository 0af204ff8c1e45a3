"""Paces a tenant's attempts by the CPU time that they take, while others send events.

Who is alone uses all of it. Beside others a company, or a PBX of none, has a quarter of a
processor for its attempts, of which a few begin in each round of the event loop: so the others'
requests find a loop that is free most of the time, however many deliveries wait and however fast
their targets answer. An event for a hundred targets is within what was saved up, and does not wait.

However many attempts may begin, alone, of many tenants or at the end, each round of the loop begins
a hundredth of a second's worth: the tenants in turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import msgspec

from hookline.domain.access import Tenant

SHARE: Final = 0.25  # of a processor, for a tenant beside others
_SAVED: Final = 0.02  # seconds of CPU that may be saved up
_ROUND: Final = 0.001  # seconds of CPU that begin at once: what anybody else's request waits for
_ROUND_OF_ALL: Final = 0.01  # the same of all tenants together, and of one that is alone
_ATTEMPT: Final = 1.5e-4  # seconds of CPU to claim, send and settle one delivery
_BYTE: Final = 3e-9  # seconds of CPU to sign and send a byte of it
_MOST_DEBT: Final = 1.0  # seconds of CPU; what attempts under way take beyond is forgiven
_BESIDE: Final = 1.0  # seconds after an event in which its tenant counts as there
_MOST_LINES: Final = 10_000  # tenants remembered; forgetting one forgives what it used


def call_later(seconds: float, call: Callable[[], None]) -> None:
    """Have something called later."""
    asyncio.get_running_loop().call_later(seconds, call)


class Presence:
    """Which tenants were there lately, in this process and in those beside it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = self._other = ("", -_BESIDE)  # the latest tenant, and the latest of the others
        self._elsewhere: dict[str, float] = {}  # until when those count that were told of

    def saw(self, tenant: str) -> None:
        """Note that a tenant is there now."""
        if tenant != self._last[0]:
            self._other = self._last
        self._last = (tenant, self._clock())

    def told(self, tenants: Iterable[str]) -> None:
        """Note who is there in another process."""
        now = self._clock()
        self._elsewhere = {each: until for each, until in self._elsewhere.items() if until > now}
        self._elsewhere |= dict.fromkeys(tenants, now + _BESIDE)

    def lately(self) -> list[str]:
        """Return up to two who were there in this process: more tell nobody anything."""
        since = self._clock() - _BESIDE
        return [name for name, at in (self._last, self._other) if name and at > since]

    def beside(self, tenant: str) -> bool:
        """Whether anybody else was there within a second."""
        now = self._clock()
        name, at = self._other if self._last[0] == tenant else self._last
        return (bool(name) and now - at < _BESIDE) or any(
            each != tenant and until > now for each, until in self._elsewhere.items()
        )


class _Line(msgspec.Struct):
    """One tenant's attempts that wait, the oldest first, and what they may use."""

    tenant: str
    level: float  # seconds of CPU that may be used now; negative after a large payload
    looked_at: float
    round: int = 0  # of the loop: the latest in which some began
    in_round: float = 0.0  # seconds of CPU that began in it
    waiting: deque[tuple[asyncio.Future[None], str, float]] = msgspec.field(default_factory=deque)


class Pace:
    """Holds back attempts of tenants that used more than their share, while others are there.

    Attempts of one lane begin in the order in which they came. `presence` knows whose events come;
    `share` is of a processor.
    """

    def __init__(
        self,
        owner_of: Callable[[str], Tenant],
        clock: Callable[[], float],
        *,
        share: float = SHARE,
    ) -> None:
        self.presence = Presence(clock)
        self._share = share
        self._owner_of = owner_of
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._waiting: dict[str, tuple[_Line, int]] = {}  # lanes with attempts in a line: how many
        self._next: deque[_Line] = deque()  # lines that go on in the next round of the loop
        self._round = 0
        self._in_round = 0.0  # seconds of CPU that began in this round
        self._ending = False  # the round's end is waited for
        self._stopped = False
        self.held_back = 0  # attempts that waited beside others, told by the metrics

    def saw(self, tenants: Iterable[Tenant]) -> None:
        """Note whose events came just now."""
        for tenant in tenants:
            self.presence.saw(_name(tenant))

    async def throttle(self, integration_id: str, size: int) -> None:
        """Wait until this lane's next attempt may begin, with a payload of so many bytes."""
        cost = _ATTEMPT + size * _BYTE
        waiting = self._waiting.get(integration_id)
        line = self._line(integration_id) if waiting is None else waiting[0]
        if not line.waiting and self._may(line):
            self._use(line, cost)
            return
        began: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.waiting.append((began, integration_id, cost))
        self.held_back += self.presence.beside(line.tenant)
        self._waiting[integration_id] = (line, 1 if waiting is None else waiting[1] + 1)
        if len(line.waiting) == 1:
            self._go_on_later(line)
        await began

    def charge(self, integration_id: str, seconds: float) -> None:
        """Count what an attempt took beyond a usual one; the tenant's next ones wait for it."""
        line = self._line(integration_id)
        line.level = max(line.level - seconds, -_MOST_DEBT)

    def stop(self) -> None:
        """Have everything begin soon: the process is about to end."""
        self._stopped = True
        for line in self._lines.values():
            self._begin(line)

    def _line(self, integration_id: str) -> _Line:
        name = _name(self._owner_of(integration_id))
        line = self._lines.get(name)
        if line is None:
            if len(self._lines) >= _MOST_LINES:
                self._lines = {key: each for key, each in self._lines.items() if each.waiting}
            line = self._lines[name] = _Line(name, _SAVED, self._clock())
        return line

    def _may(self, line: _Line) -> bool:
        """Whether this tenant's next attempt may begin now."""
        now = self._clock()
        line.level = min(_SAVED, line.level + (now - line.looked_at) * self._share)
        line.looked_at = now
        if self._stopped or not self.presence.beside(line.tenant):
            line.level = _SAVED
        elif line.level <= 0 or (line.round == self._round and line.in_round >= _ROUND):
            return False
        return self._in_round < _ROUND_OF_ALL

    def _use(self, line: _Line, cost: float) -> None:
        """Count an attempt that begins now."""
        if line.round != self._round:
            line.round, line.in_round = self._round, 0.0
        line.level -= cost
        line.in_round += cost
        self._in_round += cost
        self._end_round_later()

    def _go_on_later(self, line: _Line) -> None:
        """Go on in the next round; where nothing may be used, once that is a round's worth."""
        if line.level > 0:
            self._next.append(line)
            self._end_round_later()
        else:
            call_later((_ROUND - line.level) / self._share, partial(self._begin, line))

    def _end_round_later(self) -> None:
        if not self._ending:
            self._ending = True
            call_later(0.0, self._end_round)

    def _end_round(self) -> None:
        """Begin the next round: lines that had no attempts in the last one go first."""
        self._ending = False
        self._round += 1
        self._in_round = 0.0
        for _ in range(len(self._next)):
            if self._in_round >= _ROUND_OF_ALL:
                self._end_round_later()
                return
            self._begin(self._next.popleft())

    def _begin(self, line: _Line) -> None:
        """Let those begin that may, in order."""
        while line.waiting and self._may(line):
            began, integration_id, cost = line.waiting.popleft()
            self._use(line, cost)
            _, others = self._waiting.pop(integration_id)
            if others > 1:
                self._waiting[integration_id] = (line, others - 1)
            if not began.done():  # or its slot was ended
                began.set_result(None)
        if line.waiting:
            self._go_on_later(line)


def _name(tenant: Tenant) -> str:
    return str(tenant.company or tenant)
