"""Regular expressions match the same under every Python that the service runs on."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]  # typeshed leaves them out
from typing import Any

import pytest

import hookline

POSSESSIVE = {_constants.POSSESSIVE_REPEAT, _constants.ATOMIC_GROUP}
REPEATS = {*POSSESSIVE, _constants.MAX_REPEAT, _constants.MIN_REPEAT}


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    for module in pkgutil.walk_packages(hookline.__path__, "hookline."):
        if not module.name.endswith("__main__"):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    yield f"{module.name}.{name}", value


def goes_wrong(parsed: Any, *, inside: bool = False) -> bool:  # noqa: ANN401 - the parser's own
    """Whether a repetition of more than one thing stands in what a possessive one repeats.

    Python 3.11.0 to 3.11.4, Debian 12's among them, match such patterns wrongly
    (https://github.com/python/cpython/issues/106052).
    """
    for what, argument in parsed:
        if inside and what in REPEATS and (what not in POSSESSIVE or len(argument[-1]) > 1):
            return True
        nested = inside or what in POSSESSIVE
        if any(goes_wrong(each, inside=nested) for each in parts_of(argument)):
            return True
    return False


def parts_of(argument: Any) -> Iterator[Any]:  # noqa: ANN401 - likewise
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for each in argument:
            yield from parts_of(each)


def test_no_pattern_is_one_that_older_pythons_match_wrongly() -> None:
    found = dict(patterns())
    assert len(found) > 20
    wrong = {
        name: each.pattern
        for name, each in found.items()
        if goes_wrong(_parser.parse(each.pattern, each.flags))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        (r"(?:a*b)*+", True),
        (r"(?:a(?:\\.[b]*+)*+b)*+", True),
        (r"(?>a+b)", True),
        (r"(?:\\.[^a]*+)*+", False),
        (r"(?:a++b)*", False),
        (r"(?:[^a]|b.)*+", False),
    ],
)
def test_such_patterns_are_told(pattern: str, wrong: bool) -> None:  # noqa: FBT001 - a case
    assert goes_wrong(_parser.parse(pattern)) is wrong
