"""What a change of a document means to those who call the API, and to those who receive events."""

from dataclasses import dataclass
from enum import Enum


class Effect(Enum):
    """What a change asks of programs that were written for the older document."""

    ADDED = "added"  # nothing: there is more than before
    RELAXED = "changed"  # nothing: what they do is still right
    BROKEN = "broken"  # they may stop working


@dataclass(frozen=True, slots=True)
class Change:
    """One change, at one place: `POST /v1/events · answer 202 · deliveries`."""

    place: str
    what: str
    effect: Effect

    @property
    def breaks(self) -> bool:
        """Whether a program that was right may stop working."""
        return self.effect is Effect.BROKEN

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


def added(place: str, what: str) -> Change:
    """Say that there is something new."""
    return Change(place, what, Effect.ADDED)


def relaxed(place: str, what: str) -> Change:
    """Say that something is otherwise, and harms nobody."""
    return Change(place, what, Effect.RELAXED)


def broken(place: str, what: str) -> Change:
    """Say that something is gone or otherwise, and somebody may have relied on it."""
    return Change(place, what, Effect.BROKEN)
