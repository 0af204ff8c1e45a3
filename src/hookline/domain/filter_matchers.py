"""Values and matchers of event patterns, `{"prefix": …}` and the others, checked and compiled.

`equals-ignore-case` compares by Unicode's case folding. What a comparison costs is counted: `Work`.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Final

from hookline.errors import FieldProblem

MISSING: Final = object()
Test = Callable[[object, "Work"], bool]
_SEARCHED, _FOLDED = 7, 4  # bits: so many characters searched, or folded, are a step more


class Work:
    """What evaluating one pattern on one event may cost, counted in steps.

    Each element of an array is a step for each test that looks at it, and so are 128 characters
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


"""The value of a field that an object does not have."""

MOST_STEPS: Final = 2_000  # under a millisecond; a filter of four leaves takes a handful


def parse_matcher(
    matcher: dict[str, object], keys: tuple[str, ...], problems: Problems
) -> Test | None:
    """Compile one matcher; None, and a problem noted, where it is wrong."""
    if len(matcher) != 1:
        problems.add(keys, f"A matcher is an object of one key: {_listed(_MATCHERS)} or exists.")
        return None
    [(name, operand)] = matcher.items()
    below = (*keys, name)
    if name == "exists":
        problems.add(below, "Give true or false.")
        return None
    if name not in _MATCHERS:
        problems.add(below, f"There is no such matcher; there are {_listed(_MATCHERS)} and exists.")
        return None
    return _MATCHERS[name](operand, below, problems)


def _affix(holds: Callable[[str, str], bool]) -> Callable[..., Test | None]:
    """Return what compiles `prefix` or `suffix`: how a string has to begin, or to end."""

    def parse(operand: object, keys: tuple[str, ...], problems: Problems) -> Test | None:
        if (folded := _folded(operand)) is not None:
            return lambda value, work: (
                type(value) is str and _folds(work, value) and holds(value.casefold(), folded)
            )
        if (text := _text(operand, keys, problems)) is None:
            return None
        return lambda value, _work: type(value) is str and holds(value, text)

    return parse


def _ignoring_case(operand: object, keys: tuple[str, ...], problems: Problems) -> Test | None:
    if type(operand) is not str:
        problems.add(keys, "Give a string.")
        return None
    folded = operand.casefold()
    return lambda value, work: (
        type(value) is str and _folds(work, value) and value.casefold() == folded
    )


def _wildcard(operand: object, keys: tuple[str, ...], problems: Problems) -> Test | None:
    if type(operand) is not str or not operand:
        problems.add(keys, "Give a string with * where anything may stand.")
        return None
    if (parts := _parts(operand, keys, problems)) is None:
        return None
    if len(parts) == 1:
        return lambda value, _work: value == parts[0]
    first, *middle, last = parts
    shortest = sum(map(len, parts))
    # Of literals, `re` searches in linear time; `str.find` compares up to 100 times as much.
    searches = tuple(re.compile(re.escape(part)).search for part in middle)

    def matches(value: object, work: Work) -> bool:
        if type(value) is not str or len(value) < shortest:
            return False
        if not value.startswith(first) or not value.endswith(last):
            return False
        if not work.spend(len(searches) * (1 + (len(value) >> _SEARCHED))):
            return False
        at, end = len(first), len(value) - len(last)
        for search in searches:  # the leftmost place is as good as any, so nothing is tried again
            found = search(value, at, end)
            if found is None:
                return False
            at = found.end()
        return at <= end

    return matches


def _parts(pattern: str, keys: tuple[str, ...], problems: Problems) -> list[str] | None:
    r"""Split a wildcard pattern at its asterisks; `\*` and `\\` stand for themselves."""
    parts: list[str] = []
    letters: list[str] = []
    escaped = False
    for at, letter in enumerate(pattern):
        if escaped:
            if letter not in "*\\":
                problems.add(keys, f"At character {at}: a backslash stands before * or \\ alone.")
                return None
            letters.append(letter)
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter == "*":
            if at and not letters and parts:
                problems.add(keys, f"At character {at}: write one * instead of several.")
                return None
            parts.append("".join(letters))
            letters = []
        else:
            letters.append(letter)
    if escaped:
        problems.add(keys, "A backslash at the end stands before nothing; write two for one.")
        return None
    return [*parts, "".join(letters)]


def _numeric(operand: object, keys: tuple[str, ...], problems: Problems) -> Test | None:
    bounds = _bounds(operand)
    if bounds is None:
        message = (
            'Give a comparison, such as ["=", 5] or [">=", 10], or a range from below to above, '
            'such as [">", 0, "<=", 60].'
        )
        problems.add(keys, message)
        return None
    low, low_too, high, high_too = bounds
    if low > high or (low == high and not (low_too and high_too)):
        problems.add(keys, "No number is in this range; its lower bound comes first.")
        return None

    def matches(value: object, _work: Work) -> bool:
        if type(value) is not int and type(value) is not float:
            return False
        number = float(value)
        above = number > low or (low_too and number == low)
        return above and (number < high or (high_too and number == high))

    return matches


def _bounds(operand: object) -> tuple[float, bool, float, bool] | None:
    """Return a range's lower bound, whether it belongs to it, and the same of the upper one."""
    if type(operand) is not list or len(operand) not in {2, 4}:
        return None
    numbers = [number_of(each) for each in operand[1::2]]
    match (operand[::2], numbers):
        case (["="], [float(value)]):
            return value, True, value, True
        case ([">" | ">=" as sign], [float(low)]):
            return low, sign == ">=", math.inf, False
        case (["<" | "<=" as sign], [float(high)]):
            return -math.inf, False, high, sign == "<="
        case ([">" | ">=" as first, "<" | "<=" as second], [float(low), float(high)]):
            return low, first == ">=", high, second == "<="
        case _:
            return None


def _anything_but(operand: object, keys: tuple[str, ...], problems: Problems) -> Test | None:
    """Compile `anything-but`: any value that is there, but these."""
    if type(operand) is dict:
        excluded = _excluded_matchers(operand, keys, problems)
    else:
        excluded = _excluded_values(operand, keys, problems)
    if excluded is None:
        return None

    def matches(value: object, work: Work) -> bool:
        return not excluded(value, work) and work.left >= 0

    return matches


def _excluded_values(operand: object, keys: tuple[str, ...], problems: Problems) -> Test | None:
    values = operand if type(operand) is list else [operand]
    literals = Literals()
    if not values or any(value is None or type(value) is bool for value in values):
        problems.add(keys, "Give a string, a number, an array of those, or one matcher of strings.")
        return None
    taken = [literals.take(value, keys, problems) for value in values]
    if not all(taken):
        return None
    return of_value(literals, (), present=False)


def _excluded_matchers(
    operand: dict[str, object], keys: tuple[str, ...], problems: Problems
) -> Test | None:
    if len(operand) != 1 or not operand.keys() <= _OF_STRINGS.keys():
        problems.add(keys, f"Of matchers, give one of {_listed(_OF_STRINGS)}.")
        return None
    [(name, given)] = operand.items()
    below = (*keys, name)
    texts = given if type(given) is list else [given]
    if not texts:
        problems.add(below, "Give a string, or an array of at least one.")
        return None
    tests = [_OF_STRINGS[name](text, below, problems) for text in texts]
    sound = tuple(test for test in tests if test is not None)
    if len(sound) < len(tests):
        return None
    return lambda value, work: any(test(value, work) for test in sound)


_OF_STRINGS: Final = {
    "prefix": _affix(str.startswith),
    "suffix": _affix(str.endswith),
    "equals-ignore-case": _ignoring_case,
    "wildcard": _wildcard,
}
_MATCHERS: Final = {**_OF_STRINGS, "anything-but": _anything_but, "numeric": _numeric}


def _text(operand: object, keys: tuple[str, ...], problems: Problems) -> str | None:
    if type(operand) is str and operand:
        return operand
    problems.add(keys, 'Give a string of one character at least, or {"equals-ignore-case": …}.')
    return None


def _folded(operand: object) -> str | None:
    if type(operand) is not dict or list(operand) != ["equals-ignore-case"]:
        return None
    text = operand["equals-ignore-case"]
    return text.casefold() if type(text) is str and text else None


def _folds(work: Work, text: str) -> bool:
    return work.spend(1 + (len(text) >> _FOLDED))


def _listed(names: dict[str, Callable[..., Test | None]]) -> str:
    return ", ".join(names)
