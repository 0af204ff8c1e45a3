"""Readers of `/v1/stream`: which deliveries each may see and wants, and what waits for it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from hookline.domain.access import Principal, Role
from hookline.errors import Overloaded
from hookline.history.settled import Ended, Position

_MOST_WAITING: Final = 64 * 1024 * 1024  # bytes for all readers together
_MOST_FOR_ONE: Final = 1024 * 1024
_LEAST_FOR_ONE: Final = 128 * 1024
_RETRY_AFTER: Final = 5.0  # seconds
_OWNERS_REMEMBERED: Final = 64  # with a list of audiences each


class StreamEnd(StrEnum):
    """Why a stream ended."""

    SLOW = "slow"  # more waited for the reader than is kept for one
    KEY = "key"  # its key was revoked or has expired
    STOPPING = "stopping"  # this process stops; another one goes on
    LEFT = "left"  # the reader itself


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an integration is; no `company` where nobody entitled vouched for it."""

    integration_id: str
    pbx: str | None
    company: str | None


@dataclass(frozen=True, slots=True)
class WantedStream:
    """Which deliveries a stream is about; None: whatever it is."""

    integration_id: str | None = None
    pbx: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Audience:
    """What some readers may see and want alike: what they are sent is put together once."""

    role: Role
    pbx: str | None
    company: str | None
    wanted: WantedStream

    @property
    def scope(self) -> tuple[str, str]:
        """What the integrations that it may see have in common: by this it is found."""
        if self.wanted.integration_id is not None:
            return "integration", self.wanted.integration_id
        if (pbx := self.wanted.pbx or self.pbx) is not None:
            return "pbx", pbx
        return ("all", "") if self.company is None else ("company", self.company)

    def wants(self, event_type: str) -> bool:
        """Whether deliveries of this type are asked for."""
        return self.wanted.type is None or self.wanted.type == event_type


class Reader:
    """One stream that is open: what waits for it, bounded."""

    def __init__(self, principal: Principal, wanted: WantedStream, last: Position | None) -> None:
        self.principal = principal
        self.wanted = wanted
        self.audience = Audience(principal.role, principal.pbx, principal.company, wanted)
        self.last = last
        self.end: StreamEnd | None = None
        self._frames: list[bytes] = []
        self._waiting = 0  # bytes
        self._wakeup = asyncio.Event()
        self._after: int | None = None  # the entry behind which it reads along; None: not yet
        self._late: frozenset[int] = frozenset()  # lower ones that it has not seen either

    @property
    def reads_along(self) -> bool:
        """Whether it gets what ends from some entry on."""
        return self._after is not None

    def follow_from(self, after: int, late: frozenset[int]) -> None:
        """Have it get every delivery of entries above `after`, and of these lower ones."""
        self._after, self._late = after, late

    def has_yet_to_see(self, ended: Ended) -> bool:
        """Whether a delivery was not sent to it before it read along."""
        return self._after is not None and (ended.entry > self._after or ended.entry in self._late)

    def has_yet_to_see_all(self, lowest: int) -> bool:
        """Whether nothing of the entries from this one on was sent to it before it read along."""
        return self._after is not None and lowest > self._after

    def may_see(self, owner: Owner) -> bool:
        """Whether an integration's deliveries are in the reader's scope, and asked for."""
        wanted = self.wanted
        return (
            self.principal.sees(owner.pbx, owner.company)
            and wanted.integration_id in {None, owner.integration_id}
            and wanted.pbx in {None, owner.pbx}
        )

    def push(self, frames: bytes, most: int) -> None:
        """Have them sent once it is woken; end the stream where more than `most` bytes wait."""
        if self.end is not None:
            return
        if self._waiting > most:
            self.stop(StreamEnd.SLOW)
            return
        self._frames.append(frames)
        self._waiting += len(frames)

    def wake(self) -> None:
        """Have what waits sent now."""
        self._wakeup.set()

    def stop(self, reason: StreamEnd) -> None:
        """End the stream; what waits for a slow reader is dropped, everybody else still gets it."""
        if self.end is None:
            self.end = reason
            if reason is StreamEnd.SLOW:
                self._frames.clear()
            self._wakeup.set()

    async def next(self, within: float) -> bytes:
        """Return what is to be sent, as soon as there is anything or the stream has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._wakeup.wait()
        if self.end is None:
            self._wakeup.clear()
        frames = b"".join(self._frames)
        self._frames.clear()
        self._waiting = 0
        return frames


Holder = UUID | tuple[str, str]
"""What has a share of the places: a key, by its id, or a PBX or company."""


class Readers:
    """All readers of a process; a key, and all of a PBX or company, have half of the places."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: dict[Reader, None] = {}
        self._audiences: dict[Audience, dict[Reader, None]] = {}
        self._in_scope: defaultdict[tuple[str, str | None], set[Audience]] = defaultdict(set)
        self._seeing: dict[Owner, list[Audience]] = {}  # of the last owners that were asked for
        self._of: defaultdict[Holder, int] = defaultdict(int)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Reader]:
        return iter(list(self._all))

    def add(self, reader: Reader) -> None:
        """Take a reader in; raise Overloaded where there is no place for it."""
        if len(self._all) >= self._most:
            message = f"This process has {self._most} streams open, the most that it may."
            raise Overloaded(message, retry_after=_RETRY_AFTER)
        share = max(1, self._most // 2)
        holders = _holders(reader.principal)
        for name, holder in holders.items():
            if self._of[holder] >= share:
                message = f"{name} has {share} streams open, the most that it may; close some."
                raise Overloaded(message, retry_after=_RETRY_AFTER)
        self._all[reader] = None
        audience = reader.audience
        if audience not in self._audiences:
            self._seeing.clear()
            self._audiences[audience] = {}
            self._in_scope[audience.scope].add(audience)
        self._audiences[audience][reader] = None
        for holder in holders.values():
            self._of[holder] += 1

    def remove(self, reader: Reader) -> bool:
        """Remove a reader; tell whether it was here."""
        if reader not in self._all:
            return False
        del self._all[reader]
        audience = reader.audience
        del self._audiences[audience][reader]
        if not self._audiences[audience]:
            self._forget(audience)
        for holder in _holders(reader.principal).values():
            self._of[holder] -= 1
            if not self._of[holder]:
                del self._of[holder]
        return True

    def that_may_see(self, owner: Owner) -> Sequence[Audience]:
        """Return the audiences that may see an integration's deliveries."""
        if (seeing := self._seeing.get(owner)) is None:
            if len(self._seeing) >= _OWNERS_REMEMBERED:
                self._seeing.clear()
            seeing = self._seeing[owner] = self._find(owner)
        return seeing

    def of(self, audience: Audience) -> list[Reader]:
        """Return the readers that are one audience."""
        return list(self._audiences.get(audience, ()))

    @property
    def most_waiting(self) -> int:
        """How many bytes may wait for one reader: fewer, the more of them there are."""
        share = _MOST_WAITING // max(1, len(self._all))
        return max(_LEAST_FOR_ONE, min(_MOST_FOR_ONE, share))

    def _find(self, owner: Owner) -> list[Audience]:
        places: tuple[tuple[str, str | None], ...] = (
            ("integration", owner.integration_id),
            ("pbx", owner.pbx),
            ("company", owner.company),
            ("all", ""),
        )
        found = [audience for place in places for audience in self._in_scope.get(place, ())]
        return [each for each in found if next(iter(self._audiences[each])).may_see(owner)]

    def _forget(self, audience: Audience) -> None:
        self._seeing.clear()
        del self._audiences[audience]
        self._in_scope[audience.scope].discard(audience)
        if not self._in_scope[audience.scope]:
            del self._in_scope[audience.scope]


def _holders(principal: Principal) -> dict[str, Holder]:
    """Return whose places a stream of this key takes, by what they are called."""
    holders: dict[str, Holder] = {"This key": principal.key_id}
    if principal.pbx is not None:
        holders[f"PBX {principal.pbx}"] = ("pbx", principal.pbx)
    elif principal.company is not None:
        holders[f"Company {principal.company}"] = ("company", principal.company)
    return holders
