"""What copies leave out: which paths may be named, and what is left of an event."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.domain.documents import canonical
from hookline.domain.events import Event, Limits, parse_event
from hookline.domain.omissions import MOST_PATHS, parse_omit, without, without_in_steps
from hookline.errors import InvalidInput


def an_event(data: object, **others: object) -> Event:
    envelope = {"id": "1", "pbx": "p", "company": "c", "time": 1, "type": "t", "data": data}
    return parse_event(json.dumps(envelope | others).encode(), Limits())


def left(data: object, *paths: str) -> object:
    return json.loads(without(an_event(data), paths).payload)["data"]


FLOWS = {"flows": [{"caller": {"phone": "230", "name": "J"}}, {"caller": {"phone": "1"}}, 7]}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["data.a"], {"b": {"c": 1, "d": [1, 2]}}),
        (["data.b.c", "data.x", "data.a.y"], {"a": "1", "b": {"d": [1, 2]}}),
        (["data.b", "data.b.c"], {"a": "1"}),
        (["data.b.c", "data.b"], {"a": "1"}),
        (["data.b.d.*"], {"a": "1", "b": {"c": 1, "d": []}}),
        (["data.b.*"], {"a": "1", "b": {"c": 1, "d": [1, 2]}}),
        (["data.b.d.0"], {"a": "1", "b": {"c": 1, "d": [1, 2]}}),
    ],
)
def test_what_is_named_is_gone_and_the_rest_stays(paths: list[str], expected: object) -> None:
    assert left({"a": "1", "b": {"c": 1, "d": [1, 2]}}, *paths) == expected


def test_a_star_stands_for_the_elements_of_an_array() -> None:
    expected = {"flows": [{"caller": {"name": "J"}}, {"caller": {}}, 7]}
    assert left(FLOWS, "data.flows.*.caller.phone") == expected
    assert left({"a": [[{"b": 1}]]}, "data.a.*.*.b") == {"a": [[{}]]}
    assert left(FLOWS, "data.flows.caller.phone") == FLOWS


def test_a_copy_is_the_same_bytes_but_for_what_it_leaves_out() -> None:
    event = an_event({"2": 1.0, "1": 1e21, "u": "\u2028/", "s": "\ud800", "x": 1}, extra=1, more=2)
    copy = without(event, ["data.x", "extra"])
    kept = event.body_for("s95eum").replace(b',"x":1', b"").replace(b',"extra":1', b"")
    assert copy.body_for("s95eum") == kept
    assert copy.subject == event.subject


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "1", "é"]), inner, max_size=3)
    ),
    max_leaves=20,
)
NAMES = st.lists(st.sampled_from(["a", "b", "1", "é", "*"]), min_size=1, max_size=4)


def removed(value: Any, names: list[str]) -> Any:  # noqa: ANN401 - any JSON
    """Say plainly what leaving out one path means."""
    name, *rest = names
    if isinstance(value, list):
        if name != "*":
            return value
        return [removed(each, rest) for each in value] if rest else []
    if not isinstance(value, dict) or name not in value:
        return value
    if rest:
        return {**value, name: removed(value[name], rest)}
    return {key: each for key, each in value.items() if key != name}


@given(st.dictionaries(st.sampled_from("ab"), JSON), st.lists(NAMES, max_size=5))
def test_it_is_what_leaving_out_one_path_after_another_gives(
    data: dict[str, object], paths: list[list[str]]
) -> None:
    expected: object = data
    for names in paths:
        expected = removed(expected, names)
    copy = without(an_event(data), [".".join(["data", *names]) for names in paths])
    assert copy.payload == canonical(
        {"id": "1", "pbx": "p", "company": "c", "time": 1, "type": "t", "data": expected}
    )


LARGE: dict[str, object] = {
    "members": {f"k{number}": number for number in range(1_200)} | {"x": [1, {"y": 2}]},
    "strings": [f'a"{number}\\' for number in range(1_200)],
    "objects": [{"x": number, "y": {"z": "]"}, "x2": None} for number in range(1_200)],
    "nested": [[["["], [], {"x": [{"x": 1}]}]] * 1_200,
    "x": "gone",
}


@pytest.mark.parametrize(
    "paths",
    [
        ["x"],
        ["members"],
        ["strings.*", "objects.*.x", "objects.*.x2"],
        ["objects.*.y.z", "nested.*.*.x.*.x"],
        ["nested.*.*.x.*", "members.x.*.y", "strings.x"],
        [f"members.k{number}" for number in range(1_200)],
    ],
)
def test_the_copy_of_a_large_event_comes_in_many_steps_and_is_the_same(paths: list[str]) -> None:
    expected: object = LARGE
    for path in paths:
        expected = removed(expected, path.split("."))
    event = an_event(LARGE)
    names = [f"data.{path}" for path in paths]
    assert without(event, names).payload == an_event(expected).payload
    assert sum(1 for _ in without_in_steps(event, names)) > 10


@pytest.mark.parametrize(
    "path",
    [
        *("id", "pbx", "company", "time", "type", "integrationId", "data", "*", "*.a", ""),
        *("data..a", ".data", "data.", "x" * 201, 7, None, "data.\x00", "data.\ud800"),
    ],
)
def test_a_path_that_may_not_be_left_out_is_named(path: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_omit(["data.a", path])
    assert [each.path for each in refused.value.fields] == ["omit[1]"]


def test_at_most_fifty_paths_are_possible_and_repeated_ones_count_once() -> None:
    assert parse_omit([f"data.a{number}" for number in range(MOST_PATHS)])
    assert parse_omit(["data.b", "data.a", "data.b", "extra"]) == ("data.b", "data.a", "extra")
    for wrong in (["data.a"] * (MOST_PATHS + 1), "data.a", {"data": 1}):
        with pytest.raises(InvalidInput) as refused:
            parse_omit(wrong)
        assert [each.path for each in refused.value.fields] == ["omit"]
