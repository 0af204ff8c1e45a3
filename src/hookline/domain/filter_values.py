"""Values of event patterns: literals, what comparing may cost, and what is wrong with a pattern.

Strings are compared by code points, numbers as JavaScript's numbers are (1 is 1.0), and a string
never equals a number.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

from hookline.errors import FieldProblem

MISSING: Final = object()
"""The value of a field that an object does not have."""

MOST_STEPS: Final = 3_000  # under a millisecond; a filter of four leaves takes a handful

Test = Callable[[object, "Work"], bool]


class Work:
    """What evaluating one pattern on one event may cost, counted in steps.

    Each element of an array is a step for each test that looks at it, and so are 256 characters
    that a part of a wildcard is searched in, or 16 that are folded. Beyond `MOST_STEPS` nothing
    more matches.
    """

    __slots__ = ("envelope", "left")

    def __init__(self, envelope: object) -> None:
        self.envelope = envelope
        self.left = MOST_STEPS

    def spend(self, steps: int) -> bool:
        """Count steps; whether they were still to be had."""
        self.left -= steps
        return self.left >= 0


class Problems:
    """Collects what is wrong with a pattern, with paths from the document's root."""

    def __init__(self, path: str, into: list[FieldProblem], cut: int = 0) -> None:
        self._path = path
        self._into = into
        self._cut = cut  # keys of a place that `path` covers

    def add(self, keys: Sequence[str], message: str) -> None:
        """Note a problem of the field with these keys."""
        path = "".join((self._path, *(f".{key}" for key in keys[self._cut :])))
        self._into.append(FieldProblem(path, message))

    def at(self, place: Sequence[str], keys: Sequence[str]) -> "Problems":
        """Return the problems of an alternative pattern for the object at `keys`."""
        path = "".join((self._path, *(f".{key}" for key in place[self._cut :])))
        return Problems(path, self._into, len(keys))


class Literals:
    """The literal alternatives of a leaf, by kind: 1 is neither "1" nor true."""

    def __init__(self) -> None:
        self.strings: set[str] = set()
        self.numbers: set[float] = set()
        self.constants: list[object] = []

    def take(self, value: object, keys: tuple[str, ...], problems: Problems) -> bool:
        """Add an alternative; False, and a problem noted, where it is no literal."""
        if type(value) is str:
            self.strings.add(value)
        elif value is None or type(value) is bool:
            self.constants.append(value)
        else:
            number = number_of(value)
            if number is None:
                message = "Give a string, a finite number, true, false, null or a matcher."
                problems.add(keys, message)
                return False
            self.numbers.add(number)
        return True


def of_value(literals: Literals, tests: tuple[Test, ...], *, present: bool) -> Test:
    """Compile the test of one value by all alternatives; with `present`, any value passes."""
    strings, numbers = frozenset(literals.strings), frozenset(literals.numbers)
    constants = tuple(literals.constants)

    def matches(value: object, work: Work) -> bool:
        kind = type(value)
        if kind is str:
            if value in strings:
                return True
        elif kind is int or kind is float:
            if float(value) in numbers:  # type: ignore[arg-type] # it is a number
                return True
        elif any(value is constant for constant in constants):
            return True
        for test in tests:
            if test(value, work):
                return True
        return present

    return matches


def number_of(value: object) -> float | None:
    """Return a number as JavaScript has it, None for what is none, or beyond a double."""
    if type(value) is not int and type(value) is not float:
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
