"""Filters against AWS's own matcher of event patterns, on patterns and events made at random.

What differs by contract is not made here, and has cases of its own in test_filters.py:
- numbers: as JavaScript's here; there within a range, and to some decimal places;
- `equals-ignore-case`: by Unicode's folding here;
- `$or` of a single pattern, which is the name of a field there;
- a field both beside `$or` and within it: all must match here, the one within replaces it there;
- `exists: false` beside another field of objects in an array: of all of them here, there of the
  one that has the other field, if that one's name sorts before;
- a pattern that would cost more than 2,000 steps, which nothing matches here.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apitools import java
from apitools.places import JARS
from hookline.domain.filters import parse_filter

PROGRAM = Path(__file__).with_name("EventRuler.java")
KEYS = st.sampled_from(["a", "b", "c"])
TEXTS = st.text(alphabet="aAbB*\\x", max_size=4)
WORDS = st.text(alphabet="aAbB", min_size=1, max_size=3)
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, -1.5, 2.25])
SCALARS = TEXTS | WORDS | NUMBERS | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
EVENTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=3)


def _ranges() -> st.SearchStrategy[Any]:  # any operand of `numeric`
    one = st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), NUMBERS).map(list)
    two = st.tuples(
        st.sampled_from([">", ">="]),
        st.integers(-3, 0),
        st.sampled_from(["<", "<="]),
        st.integers(1, 3),
    ).map(list)
    return one | two


def _wildcards() -> st.SearchStrategy[str]:
    parts = st.lists(st.sampled_from(["a", "b", "A", "*", "\\*", "\\\\"]), min_size=1, max_size=5)
    return parts.map("".join).filter(lambda text: "**" not in text)


def _named(name: str, operands: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return operands.map(lambda operand: {name: operand})


AFFIXES = WORDS | _named("equals-ignore-case", WORDS)
OF_STRINGS = (
    _named("prefix", AFFIXES)
    | _named("suffix", AFFIXES)
    | _named("equals-ignore-case", WORDS)
    | _named("wildcard", _wildcards())
)
EXCLUDED = (
    WORDS
    | NUMBERS
    | st.lists(WORDS, min_size=1, max_size=3)
    | st.lists(NUMBERS, min_size=1, max_size=3)
    | _named("prefix", WORDS)
    | _named("suffix", WORDS)
    | _named("equals-ignore-case", WORDS)
    | _named("wildcard", _wildcards())
)
ALTERNATIVES = (
    SCALARS | OF_STRINGS | _named("numeric", _ranges()) | _named("anything-but", EXCLUDED)
)
LEAVES = st.lists(ALTERNATIVES, min_size=1, max_size=3) | st.booleans().map(
    lambda there: [{"exists": there}]
)
OBJECTS = st.recursive(
    st.dictionaries(KEYS, LEAVES, min_size=1, max_size=2),
    lambda inner: st.dictionaries(KEYS, LEAVES | inner, min_size=1, max_size=2),
    max_leaves=4,
)


def _asks_for_absence(part: object) -> bool:
    if isinstance(part, dict):
        return any(map(_asks_for_absence, part.values()))
    return {"exists": False} in (part if isinstance(part, list) else ())


def _is_alike(pattern: dict[str, Any]) -> bool:  # whatever arrays the event has
    inner = [each for each in pattern.values() if isinstance(each, dict)]
    return all(len(each) == 1 or not _asks_for_absence(each) for each in inner) and all(
        map(_is_alike, inner)
    )


PATTERNS = OBJECTS.filter(_is_alike) | st.tuples(
    OBJECTS.filter(_is_alike), st.lists(OBJECTS.filter(_is_alike), min_size=2, max_size=2)
).filter(lambda both: all(both[0].keys().isdisjoint(each) for each in both[1])).map(
    lambda both: {**both[0], "$or": both[1]}
)


@pytest.fixture(scope="module")
def ruler() -> Iterator["subprocess.Popen[str]"]:
    missing = java.missing()
    if not missing and not [*JARS.glob("event-ruler-*.jar")]:
        missing = ["event-ruler (make .venv/java)"]
    if missing:
        told = f"AWS's event-ruler was NOT compared with: {' and '.join(missing)} not installed"
        (pytest.fail if "CI" in os.environ else pytest.skip)(told)
    with subprocess.Popen(
        ["java", "-XX:TieredStopAtLevel=1", "-classpath", str(JARS / "*"), str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        yield process


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(pattern=PATTERNS, event=EVENTS)
def test_an_event_passes_here_where_it_passes_there(
    ruler: "subprocess.Popen[str]", pattern: dict[str, object], event: dict[str, object]
) -> None:
    assert ruler.stdin is not None
    assert ruler.stdout is not None
    asked = {"pattern": json.dumps(pattern), "event": json.dumps(event)}
    ruler.stdin.write(json.dumps(asked) + "\n")
    ruler.stdin.flush()
    answer = ruler.stdout.readline().strip()
    assert answer in {"true", "false"}, answer
    assert parse_filter(pattern).matches(event) is (answer == "true")
