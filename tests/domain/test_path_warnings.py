from collections.abc import Mapping

import pytest

from hookline.domain import omissions as module
from hookline.domain.catalogue import EventFormat, EventType, load_catalogue
from hookline.domain.filters import parse_filter
from hookline.domain.omissions import path_warnings

DATA = {"a": 1, "list": [{"b": {"c": [[{"d": 2}]]}}, "x"], "empty": []}


def a_type(example: Mapping[str, object]) -> EventType:
    return EventType(
        "t", "g", "T", "", EventFormat.JSON, licensed=False, example=example, schema={}
    )


KINDS = [a_type({"id": "1", "data": DATA}), a_type({})]


def warned(pattern: object = None, omit: tuple[str, ...] = ()) -> list[str]:
    compiled = None if pattern is None else parse_filter(pattern)
    return [each.path for each in path_warnings(compiled, omit, KINDS)]


def test_paths_that_an_example_has_are_not_warned_of() -> None:
    assert not warned({"pbx": ["1"], "type": [{"prefix": "t"}]})  # of the envelope
    assert not warned({"data": {"a": [1], "list": {"b": {"c": {"d": [2]}}}}})
    assert not warned({"data": {"list": ["x"], "empty": [{"exists": True}]}})
    assert not warned(omit=("data.list", "data.list.*", "data.list.*.b.c.*.*.d", "data.a"))
    assert not warned()


def test_other_paths_are_warned_of_where_they_stand() -> None:
    pattern = {"$or": [{"data": {"x": [1]}}, {"integrationId": ["s95eum"]}], "data": {"a": [1]}}
    assert warned(pattern) == ["filter.data.x", "filter.integrationId"]
    assert warned({"data": {"a": {"b": [{"exists": False}]}}}) == ["filter.data.a.b"]
    omit = ("data.a", "data.a.*", "data.list.b", "data.empty.*")
    assert warned(omit=omit) == ["omit[1]", "omit[2]", "omit[3]"]


def test_a_field_of_a_similar_name_is_named() -> None:
    [warning] = path_warnings(parse_filter({"data": {"lst": ["x"]}}), (), KINDS)
    assert "data.lst; did you mean data.list? It is kept" in warning.message
    [other] = path_warnings(parse_filter({"data": {"zzz": ["x"]}}), (), KINDS)
    assert "data.zzz. It is kept" in other.message


def test_nothing_is_said_where_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = parse_filter({"data": {"x": [1]}})
    assert path_warnings(pattern, (), [a_type({})]) == []
    monkeypatch.setattr(module, "_MOST_FIELDS", 3)
    assert path_warnings(pattern, (), KINDS) == []


def test_of_many_and_long_ones_so_much_is_said_as_can_be_read() -> None:
    pattern = parse_filter({"data": {f"{n}" + "y" * 30: [1] for n in range(60)}})
    found = path_warnings(pattern, ("data." + "z" * 190,), load_catalogue().types)
    assert len(found) == 20
    [long] = path_warnings(None, ("data." + "z" * 195,), KINDS)
    assert len(long.message) < 300
