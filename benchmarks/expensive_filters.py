"""The most expensive filter and event that can be found among many made at random.

    .venv/bin/python benchmarks/expensive_filters.py [--cases 20000] [--seed 1]

Patterns are made of what costs most (wildcards whose parts nearly match, folding, `$or`, many
leaves), events of what they are asked of: long strings, long and nested arrays, many objects.
Prints the most expensive cases in milliseconds of this thread's processor time, each the least of
three runs, and what they are made of.
"""

# ruff: noqa: PLR2004 - sizes and weights of what is made at random

import argparse
import heapq
import json
from collections.abc import Callable
from random import Random
from time import thread_time
from typing import Any

from hookline.domain.filter_matchers import MOST_STEPS, Work
from hookline.domain.filters import FilterIndex, parse_filter
from hookline.errors import InvalidInput

_NAMES = "abc"
_EVENT_BYTES = 1024 * 1024


def _part(made: Random) -> str:
    half = "a" * made.choice((1, 2, 5, 12, 24, 45))
    return made.choice((half, f"{half}b{half}", f"b{half}", f"{half}b", "ß" + half))


def _test(made: Random) -> object:
    text = _part(made)
    wild = f"*{'*'.join(_part(made) for _ in range(made.randint(1, 4)))}*"
    of_strings: list[dict[str, Any]] = [
        {"wildcard": wild},
        {"prefix": text},
        {"suffix": text},
        {"equals-ignore-case": text},
        {"prefix": {"equals-ignore-case": text}},
        {"suffix": {"equals-ignore-case": text}},
    ]
    several = made.randint(1, 12)
    return made.choice(
        (
            *of_strings,
            {"anything-but": made.choice((text, [text, 7]))},
            {"anything-but": {"wildcard": [f"*{_part(made)}x*" for _ in range(several)]}},
            {"anything-but": {"equals-ignore-case": [_part(made) for _ in range(several)]}},
            {"anything-but": made.choice(of_strings[:4])},
            {"numeric": [">", 5, "<", 6]},
            {"exists": made.random() < 0.5},
            None,
            7,
            text,
        )
    )


def _pattern(made: Random, depth: int = 1) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in made.sample(_NAMES, made.randint(1, 3)):
        if depth < 7 and made.random() < 0.5:
            fields[name] = _pattern(made, depth + 1)
        else:
            fields[name] = [_test(made) for _ in range(made.choice((1, 1, 3, 12)))]
    if depth < 7 and made.random() < 0.25:
        one = _pattern(made, depth + 2)
        fields["$or"] = [one] * made.choice((1, 3, 20, 60))
    return fields


def _value(made: Random, size: int, depth: int) -> object:
    kind = made.random()
    if depth <= 0 or size < 4 or kind < 0.2:
        letters = made.choice(("a", "ß", "ab", "\N{GRINNING FACE}"))
        return made.choice((letters * (size // len(letters.encode()) or 1), 5.5, None, True))
    many = made.choice((1, 2, 20, 300, 3_000, 100_000))
    many = min(many, size)
    one = _value(made, size // many, depth - 1)
    if kind < 0.6:
        return [one] * many
    if kind < 0.7:
        return [[one]] * (many // 2)
    return {name: _value(made, size // 3, depth - 1) for name in _NAMES}


def main(cases: int, seed: int) -> None:
    made = Random(seed)  # noqa: S311 - nothing secret
    costliest: list[tuple[float, int, str]] = []
    measured = 0
    while measured < cases:
        raw = _pattern(made)
        try:
            compiled = parse_filter(raw)
        except InvalidInput:  # too large, or too many leaves
            continue
        measured += 1
        size = made.choice((1_000, 30_000, _EVENT_BYTES))
        event = {name: _value(made, size // 3, 6) for name in _NAMES}
        index = FilterIndex([compiled] * 2)
        for what, ask in (
            ("filter", compiled.matches),
            ("index", lambda of, _, index=index: index.possible(of)),
        ):
            took, steps = min(_spent(ask, event) for _ in range(3))
            told = f"{what}: {steps:,} steps, {json.dumps(raw)[:160]}"
            costliest.append((took * 1e3, measured, told))
        costliest = heapq.nlargest(5, costliest)
    for took, number, told in costliest:
        print(f"{took:.2f} ms  case {number}, {told}")


def _spent(
    ask: Callable[[dict[str, Any], Work], object], event: dict[str, Any]
) -> tuple[float, int]:
    work = Work(event)
    began = thread_time()
    ask(event, work)
    return thread_time() - began, MOST_STEPS - work.left


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    main(given.cases, given.seed)
