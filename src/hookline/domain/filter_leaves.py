"""The leaves of event patterns: alternatives for one field, of which one must match."""

from collections.abc import Iterator, Sequence

from hookline.domain.filter_matchers import parse_matcher
from hookline.domain.filter_values import MISSING, Literals, Problems, Test, Work, of_value


def parse_leaf(
    alternatives: list[object], keys: tuple[str, ...], problems: Problems
) -> Test | None:
    """Compile an array of alternatives; None, and a problem noted, where one is wrong."""
    if not alternatives:
        problems.add(keys, "Give at least one alternative; an empty array matches nothing.")
        return None
    literals = Literals()
    tests: list[Test] = []
    sound, present, absent = True, False, False
    for place, alternative in enumerate(alternatives):
        at = (*keys[:-1], f"{keys[-1]}[{place}]")
        if type(alternative) is not dict:
            sound &= literals.take(alternative, at, problems)
        elif list(alternative) == ["exists"] and type(alternative["exists"]) is bool:
            present |= alternative["exists"]
            absent |= not alternative["exists"]
        else:
            test = parse_matcher(alternative, at, problems)
            sound &= test is not None
            tests += [test] if test else []
    if not sound:
        return None
    matches = of_value(literals, tuple(tests), present=present)
    return _of_field(matches, 1 + len(tests), keys if absent else None)


def flat(values: list[object], work: Work, cost: int) -> Iterator[object]:
    """Give the elements of an array and of arrays within it, as long as work is left."""
    for value in values:
        if not work.spend(cost):
            return
        if type(value) is list:
            yield from flat(value, work, cost)
        else:
            yield value


def _of_field(of_value: Test, cost: int, absent: tuple[str, ...] | None) -> Test:
    """Compile a leaf; `absent` is the path of a field that may be missing, else None."""

    def matches(value: object, work: Work) -> bool:
        kind = type(value)
        if kind is not list and kind is not dict and value is not MISSING:
            return of_value(value, work)
        if kind is list:
            for element in flat(value, work, cost):  # type: ignore[arg-type] # it is a list
                if type(element) is not dict and of_value(element, work):
                    return True
        if absent is None or _is_there(work.envelope, absent, work):
            return False
        return work.left >= 0

    return matches


def _is_there(value: object, keys: Sequence[str], work: Work) -> bool:
    """Whether the event has a value at a path, in any element of the arrays on the way."""
    if type(value) is list:
        return any(_is_there(element, keys, work) for element in flat(value, work, 1))
    if not keys:
        return type(value) is not dict and value is not MISSING
    return type(value) is dict and _is_there(value.get(keys[0], MISSING), keys[1:], work)
