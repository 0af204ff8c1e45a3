"""Sends deliveries as they settle to the readers of `/v1/stream`; reads the log only for them.

One task reads the log for all readers of a process, whichever process settled, looks each delivery
up once, and puts together what readers of the same scope are sent once for all of them. It uses a
fifth of the time at the most: where more ends than that is enough for, streams are late, and the
engine is not.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, Protocol

from sqlalchemy import ARRAY, Text, any_, cast, select
from sqlalchemy.ext.asyncio import AsyncEngine

from hookline.db.errors import unavailable_when_away
from hookline.db.models import Integration, Revision
from hookline.domain.access import Principal
from hookline.history.repository import History
from hookline.history.schemas import Delivery
from hookline.history.settled import RESUMED_WITHIN, Ended, Position, SettledLog
from hookline.history.stream_readers import (
    Audience,
    Owner,
    Reader,
    Readers,
    StreamEnd,
    WantedStream,
)
from hookline.logs import get_logger

_EVERY: Final = 0.25  # seconds between looks at the log, and for each reader:
_EVERY_READER: Final = 0.0005  # what is sent half as often takes little more than half as long
_LONGEST: Final = 0.6  # seconds; readers are promised what ends within about one
_SHARE: Final = 4  # times as long as a look took, until the next: a fifth of the time at most
_ENTRIES_AT_ONCE: Final = 20  # of the log, with up to 500 deliveries each
_DELIVERIES_AT_ONCE: Final = 100
_BYTES_AT_ONCE: Final = 32 * 1024  # between two moments for the readers to send what they have
_READERS_AT_ONCE: Final = 4  # that send what they have between two moments for everything else
_LOG = get_logger(__name__)

_Sent = tuple[Ended, bytes]

Frame = Callable[[Delivery, Position], bytes]
"""Prints a delivery as it is sent, and how far whoever got it has come."""


class KeysInForce(Protocol):
    """Knows which keys are valid."""

    async def reload_if(self, revision: int) -> None:
        """Load what changed, unless this revision is known already."""

    def still_valid(self, principal: Principal) -> bool:
        """Whether the key is neither revoked nor expired."""


class Streams:
    """The open streams of one process; their owner has `follow` called at `pause`s."""

    def __init__(
        self, engine: AsyncEngine, history: History, keys: KeysInForce, *, most: int, frame: Frame
    ) -> None:
        self._engine = engine
        self._history = history
        self._keys = keys
        self._frame = frame
        self.most = most
        self._readers = Readers(most)
        self._has_readers = asyncio.Event()
        self._following = asyncio.Event()
        self._log: SettledLog | None = None
        self._waiting: deque[tuple[Ended, Owner]] = deque()
        self._took = 0.0  # seconds for the last look
        self._stopping = False
        self.sent = 0  # deliveries, once for each reader
        self.ended = dict.fromkeys(StreamEnd, 0)

    @property
    def open_now(self) -> int:
        """How many streams are open."""
        return len(self._readers)

    def open(self, principal: Principal, wanted: WantedStream, last: Position | None) -> Reader:
        """Add a reader, which its caller is to `close`. Raises Overloaded."""
        reader = Reader(principal, wanted, last)
        self._readers.add(reader)
        if self._stopping:
            reader.stop(StreamEnd.STOPPING)
        self._has_readers.set()
        return reader

    def close(self, reader: Reader) -> None:
        """Remove a reader."""
        if not self._readers.remove(reader):
            return
        self.ended[reader.end or StreamEnd.LEFT] += 1
        if not len(self._readers):
            self._has_readers.clear()
            self._following.clear()
            self._log = None
            self._waiting.clear()

    def stop(self) -> None:
        """End every stream, and each that is still to come: the process stops."""
        self._stopping = True
        for reader in self._readers:
            reader.stop(StreamEnd.STOPPING)

    def position(self) -> Position | None:
        """Return how far the readers have come that read along; None where nobody knows."""
        return None if self._log is None or self._waiting else self._log.position()

    async def known(self, *, within: float) -> bool:
        """Wait until the log is followed; False where it is not so soon: the database is away."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._following.wait()
        return self._following.is_set()

    async def join(self, reader: Reader, *, within: float) -> None:
        """Have a new reader get what ends from now on, so that it can be told that it does.

        Where the log is not followed in time, since the database is away, it joins with `begin`.
        """
        if reader.last is None and await self.known(within=within) and self._log is not None:
            reader.follow_from(self._log.after, frozenset(self._log.missing))

    async def begin(self, reader: Reader) -> AsyncIterator[bytes]:
        """Yield what a reader missed since its last position, then have it read along.

        The log must be followed. Raises Unavailable.
        """
        if reader.reads_along:
            return
        last = reader.last
        log = SettledLog(self._engine, after=0 if last is None else last.floor)
        while last is not None and reader.end is None:
            before = log.after
            missed = [each for each in await log.read(_ENTRIES_AT_ONCE) if last.is_before(each)]
            async for frames in self._missed(reader, log, missed):
                yield frames
            if self._log is None or log.after >= self._log.after or log.after == before:
                break
        if self._log is not None:
            came_on = last is not None and log.after > last.floor
            after = log.after if came_on else self._log.after
            reader.follow_from(after, frozenset(log.missing) | frozenset(self._log.missing))

    async def follow(self) -> None:
        """Read the log on for the readers, once there are any. Raises Unavailable."""
        await self._has_readers.wait()
        began = time.monotonic()
        try:
            await self._poll()
        finally:
            self._took = time.monotonic() - began

    def pause(self) -> float:
        """Return how many seconds to leave until the log is read on."""
        usual = min(_LONGEST, _EVERY + _EVERY_READER * len(self._readers))
        return max(0.0 if self._waiting else usual, _SHARE * self._took)

    async def _poll(self) -> None:
        """Send some of what has ended since the last look."""
        log = self._log
        if log is None:
            log = SettledLog(self._engine)
            await log.start()
            if not len(self._readers):
                return  # they have left meanwhile; the next one begins where the log is then
            self._log = log
            self._following.set()
        await self._end_invalid()
        if not self._waiting:
            ended = await log.read(_ENTRIES_AT_ONCE)
            owners = await self._owners({each.integration_id for each in ended})
            wanted = {
                name: owner for name, owner in owners.items() if self._readers.that_may_see(owner)
            }
            self._waiting.extend(
                (each, wanted[each.integration_id])
                for each in ended
                if each.integration_id in wanted
            )
        part = list(islice(self._waiting, _DELIVERIES_AT_ONCE))
        found = await self._history.settled([each.delivery_id for each, _ in part])
        gathered = 0
        told: dict[Audience, list[_Sent]] = {}
        for each, owner in part:
            if self._waiting:  # the last reader may have left meanwhile
                self._waiting.popleft()
            if (delivery := found.get(each.delivery_id)) is None:
                continue  # reopened by hand meanwhile: it ends again
            gathered += self._gather(delivery, each, owner, log, told)
            if gathered > _BYTES_AT_ONCE:
                gathered = 0
                await _wake(self._push(told))
                told.clear()
        await _wake(self._push(told))

    def _gather(
        self,
        delivery: Delivery,
        ended: Ended,
        owner: Owner,
        log: SettledLog,
        told: dict[Audience, list[_Sent]],
    ) -> int:
        """Add a delivery to what each audience that wants it is told; return its size in bytes."""
        audiences = [
            each for each in self._readers.that_may_see(owner) if each.wants(delivery.type)
        ]
        if not audiences:
            return 0
        frame = self._frame(delivery, log.position(ended))
        for audience in audiences:
            told.setdefault(audience, []).append((ended, frame))
        return len(frame)

    def _push(self, told: Mapping[Audience, Sequence[_Sent]]) -> list[Reader]:
        """Give each reader what its audience is told, in one piece; return who has got something.

        Those who have just come get what they have yet to see of it.
        """
        most = self._readers.most_waiting
        given: list[Reader] = []
        for audience, sent in told.items():
            whole = b"".join(frame for _, frame in sent)
            lowest = min(ended.entry for ended, _ in sent)
            for reader in self._readers.of(audience):
                frames, count = whole, len(sent)
                if not reader.has_yet_to_see_all(lowest):
                    some = [frame for ended, frame in sent if reader.has_yet_to_see(ended)]
                    frames, count = b"".join(some), len(some)
                if not frames:
                    continue
                reader.push(frames, most)
                given.append(reader)
                if reader.end is not None:
                    self.close(reader)  # its place is free at once; who sends to it tells it why
                self.sent += count
        return given

    async def _missed(
        self, reader: Reader, log: SettledLog, missed: Sequence[Ended]
    ) -> AsyncIterator[bytes]:
        owners = await self._owners({each.integration_id for each in missed})
        seen = {name for name, owner in owners.items() if reader.may_see(owner)}
        theirs = [each for each in missed if each.integration_id in seen]
        for start in range(0, len(theirs), _DELIVERIES_AT_ONCE):
            part = theirs[start : start + _DELIVERIES_AT_ONCE]
            found = await self._history.settled([each.delivery_id for each in part])
            frames = [
                self._frame(delivery, log.position(each))
                for each in part
                if (delivery := found.get(each.delivery_id))
                and reader.audience.wants(delivery.type)
            ]
            self.sent += len(frames)
            yield b"".join(frames)

    async def _end_invalid(self) -> None:
        """End the streams of keys that were revoked or have expired."""
        with unavailable_when_away():
            async with self._engine.connect() as connection:
                revision = await connection.scalar(select(Revision.value))
        await self._keys.reload_if(revision or 0)
        for reader in self._readers:
            if not self._keys.still_valid(reader.principal):
                reader.stop(StreamEnd.KEY)

    async def _owners(self, integrations: Collection[str]) -> dict[str, Owner]:
        """Return whose these integrations are, deleted ones too."""
        if not integrations:
            return {}
        table = Integration
        query = select(table.id, table.pbx, table.company, table.company_vouched).where(
            table.id == any_(cast(sorted(integrations), ARRAY(Text)))
        )
        with unavailable_when_away():
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query)).all()
        return {
            row.id: Owner(row.id, row.pbx, row.company if row.company_vouched else None)
            for row in rows
        }


async def _wake(readers: Collection[Reader]) -> None:
    """Have readers send what they have, a few at a time: hundreds take tens of milliseconds."""
    for number, reader in enumerate(readers, 1):
        reader.wake()
        if number % _READERS_AT_ONCE == 0:
            await asyncio.sleep(0)


def is_too_late(last: Position) -> bool:
    """Whether a position is from so long ago that something behind it may be forgotten."""
    return time.time() - last.moment > RESUMED_WITHIN
