"""Long work that is asked for once and done in pages: replays and erasures."""

from enum import StrEnum
from typing import Final


class JobKind(StrEnum):
    """What a job does."""

    REPLAY = "replay"
    ERASURE = "erasure"


class JobState(StrEnum):
    """Where a job stands; the last three are final."""

    COUNTING = "counting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class EndStatus(StrEnum):
    """How a delivery ended."""

    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"


UNFINISHED: Final = (JobState.COUNTING, JobState.RUNNING)
