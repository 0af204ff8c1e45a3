"""Trims freed memory of the C library's allocator, once a busy process is quiet."""

import contextlib
import ctypes
import time
from collections.abc import Callable
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # mallopt(3)
CHECK_EVERY: Final = 10.0  # seconds between looks at whether a process has become quiet
_BUSY: Final = 0.2  # of a processor; a quiet process with its polls takes a few hundredths
_LARGE: Final = 1024 * 1024  # bytes; glibc's own threshold grows to 32 MiB with what is freed


def return_large_buffers() -> None:
    """Have glibc give each buffer above 1 MiB back to the system as soon as it is freed.

    Otherwise the bodies of large batches come from its heap once a few were freed, and stay there.
    """
    with contextlib.suppress(AttributeError):  # other C libraries have no mallopt
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


def return_free_pages() -> None:
    """Give the free pages of the heap back to the system, also those between live objects.

    The events of a large batch are smaller than what `return_large_buffers` covers.
    """
    with contextlib.suppress(AttributeError):  # other C libraries have no malloc_trim
        ctypes.CDLL(None).malloc_trim(0)


class AfterLoad:
    """Trims free memory once, when a busy process has become quiet: then nobody waits for it.

    `check` is called at an interval. `used` and `clock` are seconds: of processor time, of all.
    """

    def __init__(
        self,
        trim: Callable[[], None] = return_free_pages,
        *,
        used: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trim = trim
        self._used, self._clock = used, clock
        self._before = used(), clock()
        self._was_busy = True  # it has just started

    async def check(self) -> None:
        """Look at how busy the process was since the last call."""
        now = self._used(), self._clock()
        busy = now[0] - self._before[0] > _BUSY * (now[1] - self._before[1])
        self._before = now
        if self._was_busy and not busy:
            self._trim()
        self._was_busy = busy
