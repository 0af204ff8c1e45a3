"""Hypothesis strategies for JSON texts: odd spelling, odd numbers, odd keys, repeated keys."""

import json

from hypothesis import strategies as st

_SPACES = st.sampled_from(["", "", "", " ", "\n", "\t", "\r\n "])

numbers = st.one_of(
    st.integers().map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(1e-8, 1e-4).map(repr),
    st.floats(1e14, 1e23).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
)

_PIECES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters='"\\', min_codepoint=32)),
    st.characters(codec="utf-8").map(lambda character: json.dumps(character)[1:-1]),
    st.from_regex(r"\\u[0-9a-fA-F]{4}", fullmatch=True),
    st.from_regex(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", fullmatch=True),
    st.sampled_from([r"\b", r"\f", r"\n", r"\r", r"\t", r"\"", r"\\", r"\/", "\x7f", "\u2028"]),
)
strings = st.lists(_PIECES, max_size=6).map(lambda pieces: f'"{"".join(pieces)}"')

_INDEXES = st.one_of(
    st.integers(0, 12).map(str),
    st.integers(2**32 - 4, 2**32 + 1).map(str),
    st.from_regex(r"[0-9]{1,11}|-[0-9]|[0-9]\.0|1e[0-9]", fullmatch=True),
).map(lambda index: f'"{index}"')
keys = st.one_of(
    strings, _INDEXES, st.sampled_from(['"a"', '"\\u0061"', '""', '"\\u0031"', '"__proto__"'])
)


def _array(items: list[str], space: str) -> str:
    return f"[{space}{f'{space},'.join(items)}{space}]"


def _object(members: list[tuple[str, str]], space: str) -> str:
    return f"{{{space}{f',{space}'.join(f'{k}{space}:{v}' for k, v in members)}{space}}}"


def _containers(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arrays = st.builds(_array, st.lists(values, max_size=6), _SPACES)
    objects = st.builds(_object, st.lists(st.tuples(keys, values), max_size=6), _SPACES)
    return arrays | objects


documents = st.recursive(
    st.one_of(numbers, strings, st.sampled_from(["true", "false", "null"])),
    _containers,
    max_leaves=25,
)
objects = st.builds(_object, st.lists(st.tuples(keys, documents), max_size=5), _SPACES)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """One character more, less or other than a JSON text: JSON no longer, most of the time."""
    text: str = draw(documents)
    at = draw(st.integers(0, len(text)))
    extra: str = draw(st.sampled_from(["", "", *'[]{},:"\\-+.eE01nN\x00\n\x0b \ufeff']))
    return text[:at] + extra + text[at + draw(st.integers(0, 1)) :]
