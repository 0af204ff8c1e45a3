"""The memory for request bodies: one budget over all of them, of which each key has a share.

A body's bytes are taken from the budget before they are kept. Where there is no room its sender
waits, unread, and is then told to come again. Bytes are given back when the request has ended.
After large bodies the allocator gives its free pages back to the system.
"""

import asyncio
from collections import Counter
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from hookline.errors import Overloaded
from hookline.memory import return_free_pages

_SHARE = 4  # a key may have one in so many of all bytes
_PATIENCE = 5.0  # seconds that a sender waits for room
_MOST_WAITING = 16  # bodies of one key; each holds what came with its head
_RETRY_AFTER = 5.0  # seconds
_LARGE = 8 * 1024 * 1024  # bytes at once, after which the heap is worth a look
_TRIM_AFTER = 1.0  # seconds, in which what was made of the bodies is freed too


class BodyMemory:
    """Counts the bytes of all bodies under way; `largest` is what any key may have."""

    def __init__(self, most: int, *, largest: int) -> None:
        self._most = most
        self._most_of_key = max(most // _SHARE, largest)
        self._of_key: Counter[UUID] = Counter()
        self._waiting: Counter[UUID] = Counter()
        self._freed = asyncio.Event()
        self._trimming: asyncio.TimerHandle | None = None
        self.taken = 0

    def of(self, key: UUID) -> "HeldBody":
        """Return the memory for one body of this key: `with memory.of(key) as held: …`."""
        return HeldBody(self, key)

    def fits(self, key: UUID, size: int) -> bool:
        """Whether there is room for so many bytes more."""
        of_key = self._of_key[key] + size
        return of_key <= self._most_of_key and self.taken + size <= self._most

    def take(self, key: UUID, size: int) -> None:
        """Count these bytes."""
        self.taken += size
        self._of_key[key] += size

    def give_back(self, key: UUID, size: int) -> None:
        """Count these bytes no more, and let others look for room."""
        self.taken -= size
        self._of_key[key] -= size
        if not self._of_key[key]:
            del self._of_key[key]
        if self._waiting:
            self._freed.set()
            self._freed = asyncio.Event()
        if size + self.taken >= _LARGE and self._trimming is None:
            self._trimming = asyncio.get_running_loop().call_later(_TRIM_AFTER, self._trim)

    def _trim(self) -> None:
        self._trimming = None
        return_free_pages()

    async def room(self, key: UUID, size: int) -> None:
        """Wait until there is room; raise Overloaded where there is none in time."""
        if self._waiting[key] >= _MOST_WAITING:
            raise _no_room()
        self._waiting[key] += 1
        try:
            async with asyncio.timeout(_PATIENCE):
                while not self.fits(key, size):
                    await self._freed.wait()
        except TimeoutError as error:
            raise _no_room() from error
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]


class HeldBody:
    """The bytes of one body."""

    __slots__ = ("_key", "_memory", "_size")

    def __init__(self, memory: BodyMemory, key: UUID) -> None:
        self._memory: Final = memory
        self._key: Final = key
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._size:
            self._memory.give_back(self._key, self._size)

    async def grow(self, size: int) -> None:
        """Take what is missing for a body of `size` bytes."""
        more = size - self._size
        if more <= 0:
            return
        if not self._memory.fits(self._key, more):
            await self._memory.room(self._key, more)
        self._memory.take(self._key, more)
        self._size = size


def _no_room() -> Overloaded:
    return Overloaded(
        "Too many bytes of request bodies are under way; send fewer or smaller ones at a time, and"
        " come again when Retry-After says.",
        retry_after=_RETRY_AFTER,
    )
