"""Numbers that the benchmark's processes share, so that watching a run costs none of them work.

Each has one writer. Aligned words of eight bytes are read and written whole.
"""

import mmap
from enum import IntEnum
from pathlib import Path


class Counter(IntEnum):
    """What is counted; times are CLOCK_MONOTONIC, which one machine's processes share."""

    ACCEPTED = 0  # events answered as accepted
    RECEIVED = 1  # different deliveries received
    LAST_RECEIPT = 2  # nanoseconds


class Counters:
    """The shared page; `view[Counter.X]` is a number."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 0)
        self.view = memoryview(self._page).cast("Q")

    @classmethod
    def make(cls, path: Path) -> "Counters":
        """Make the page, all zero."""
        path.write_bytes(bytes(8 * len(Counter)))
        return cls(path)
