import json
from collections.abc import Generator
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.domain import batches
from hookline.domain.batches import _Follower
from hookline.errors import InvalidInput, MalformedBody, TooLarge
from shapes import shapes
from support import json_texts

DEEP = "[" * 10_000 + "]" * 10_000


def finish(steps: Generator[None, None, list[bytes]]) -> list[bytes]:
    """Return what comes of all steps."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            items: list[bytes] = end.value
            return items


def split_batch(raw: bytes, *, at_most: int) -> list[bytes]:
    return finish(batches.split_batch(raw, at_most=at_most))


def batch(*items: str) -> bytes:
    return f'{{"events":[{",".join(items)}]}}'.encode()


def texts(items: list[bytes]) -> list[str]:
    return [item.decode().strip() for item in items]


@pytest.mark.parametrize(
    "odd",
    [DEEP, f'{{"a":{DEEP}}}', '"\\ud800"', '{"\\udfff":"]"}', "nul", "01", "NaN", "[1,]"],
    ids=lambda odd: odd[:12],
)
def test_an_odd_item_is_handed_over_and_its_neighbours_stay_whole(odd: str) -> None:
    before, after = '{"a":"[,\\"]"}', '{"b":[{}, "}"]}'
    assert texts(split_batch(batch(before, odd, after), at_most=3)) == [before, odd, after]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(json_texts.documents, max_size=9),
    st.integers(1, 200),
    st.sampled_from(["", " ", "\n "]),
)
def test_items_that_begin_alike_are_the_same_however_many_are_taken_at_once(
    inner: list[str], at_once: int, space: str
) -> None:
    nested = [f'{{"id":{each},"more":[{{"id":1}},{{"id":{each}}}]}}' for each in inner]
    items = [*nested, *nested, "{}", *nested]
    raw = f'{{"events":[{f"{space},{space}".join(items)}{space}]}}'.encode()
    with mock.patch.object(batches, "_AT_ONCE", at_once):
        assert texts(finish(_Follower(raw, len(items)).items())) == items
        with pytest.raises(TooLarge):
            finish(_Follower(raw, len(items) - 1).items())


def test_an_odd_item_among_many_that_begin_alike_is_handed_over_whole() -> None:
    alike = [f'{{"id":{number},"a":"}},{{\\"id\\":"}}' for number in range(20)]
    items = [*alike, f'{{"id":{DEEP}}}', *alike, '{"id":nul}', *alike]
    assert texts(finish(_Follower(batch(*items), 99).items())) == items


@settings(max_examples=50, deadline=None)
@given(json_texts.strings, json_texts.documents)
def test_any_other_member_is_refused_by_name(key: str, other: str) -> None:
    name = json.loads(key)
    with pytest.raises((InvalidInput, MalformedBody)) as refusal:
        split_batch(f' {{ {key}:{other} ,"events":[] }} '.encode(), at_most=5)
    if isinstance(refusal.value, InvalidInput):
        assert [each.path for each in refusal.value.fields] == [name[:80] or "body"]
    else:
        assert name == "events"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(json_texts.documents, max_size=5),
    st.integers(1, 40),
    st.integers(1, 6),
    st.integers(2, 8),
)
def test_both_ways_to_split_agree_also_in_windows_of_any_size(
    items: list[str], least: int, times: int, shrinks: int
) -> None:
    spaced = f' {{ "events" :\n [{" , ".join(items)} ] }} '.encode()
    assert texts(finish(_Follower(spaced, 5).items())) == [item.strip() for item in items]
    assert texts(split_batch(spaced, at_most=5)) == [item.strip() for item in items]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batches, "_LEAST_WINDOW", least)
        patched.setattr(batches, "_MOST_WINDOW", least * times)
        patched.setattr(batches, "_SHRINKS", shrinks)
        found = finish(_Follower(batch(*items), 5).items())
    assert texts(found) == [item.strip() for item in items]


@settings(max_examples=150, deadline=None)
@given(json_texts.damaged())
def test_a_damaged_list_never_gives_items_that_hide_the_damage(text: str) -> None:
    raw = f'{{"events":[{text}]}}'.encode()
    try:
        items = split_batch(raw, at_most=100)
    except (MalformedBody, InvalidInput, TooLarge):
        return
    joined = b'{"events":[' + b",".join(items) + b"]}"
    assert _loads_or_none(joined) == _loads_or_none(raw)


def _loads_or_none(raw: bytes) -> object:
    try:
        return repr(json.loads(raw))
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"", "This is empty"),
        (b"[]", "one JSON object"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"events":[\xef\xbb\xbf{}]}', "a byte order mark stands in front of a value at byte 11"),
        (b'{"events":[}}', "expected a value at byte 11"),
        (b'{"events":[1,]}', "trailing comma at byte 13"),
        (b'{"events":[1 [2]]}', "expected a comma at byte 13"),
        (b'{"events":[]}x', "unexpected content after the batch at byte 13"),
        (b'{"events":[{]}]}', "expected a comma at byte 13"),
        (b'{"events":[[}', "expected a comma at byte 13"),
        (b'{"events":[[', "an array or object is not closed at byte 11"),
        (b'{"events" []}', "expected a colon at byte 10"),
        (b"{events:[]}", "expected a key in double quotes at byte 1"),
        (b'{"\\x":[]}', "expected a key in double quotes at byte 1"),
        (b'{"events":["a]}', "expected a value at byte 11"),
        (b'{"events":[]', "expected a comma at byte 12"),
    ],
)
def test_a_body_that_has_no_items_to_find_is_malformed_as_a_whole(raw: bytes, place: str) -> None:
    with pytest.raises(MalformedBody) as refusal:
        split_batch(raw, at_most=10)
    assert place in str(refusal.value)


@pytest.mark.parametrize(
    "raw", [b"{}", b'{"events":null}', b'{"events":{}}', b'{"events":"\\ud800"}']
)
def test_a_batch_without_a_list_of_events_names_the_field(raw: bytes) -> None:
    with pytest.raises(InvalidInput) as refusal:
        split_batch(raw, at_most=10)
    assert [problem.path for problem in refusal.value.fields] == ["events"]


@pytest.mark.parametrize("odd", ["1", '"\\ud800"'])
def test_the_number_of_items_is_bounded(odd: str) -> None:
    assert len(split_batch(batch(*["1"] * 9, odd), at_most=10)) == 10
    with pytest.raises(TooLarge, match="at most 10 events"):
        split_batch(batch(*["1"] * 10, odd), at_most=10)


def test_millions_of_items_are_refused_without_being_collected() -> None:
    with pytest.raises(TooLarge):
        split_batch(b'{"events":[' + b"1," * 4_000_000 + b"1]}", at_most=1_000)


def test_millions_of_members_beside_the_list_are_refused_early() -> None:
    with pytest.raises(TooLarge, match="leave its thousands of other members out"):
        split_batch(b"{" + b'"a":1,' * 2_000_000 + b'"events":[]}', at_most=1_000)


def test_many_commas_alone_are_no_reason_to_refuse() -> None:
    items = [f"[{'0,' * 99_999}0]"] * 3
    assert texts(split_batch(batch(*items), at_most=3)) == items


@pytest.mark.parametrize("odd", ["1", '"\\ud800"'])
@pytest.mark.parametrize("again", ["events", "\\u0065vents"])
def test_a_second_list_of_events_is_refused(again: str, odd: str) -> None:
    raw = f'{{"events":[1,2], "{again}":[{odd}]}}'.encode()
    with pytest.raises(MalformedBody, match=r"'events' stands a second time .* column 18"):
        split_batch(raw, at_most=10)


@pytest.mark.parametrize("odd", ["1", '"\\ud800"'])
def test_other_members_are_named_all_at_once(odd: str) -> None:
    raw = f'{{"pbx":"1","events":[{{"events":[{odd}]}}],"":{{"events":[]}}}}'.encode()
    with pytest.raises(InvalidInput) as refusal:
        split_batch(raw, at_most=10)
    assert [problem.path for problem in refusal.value.fields] == ["pbx", "body"]


def test_the_list_under_another_name_is_missing_and_unknown() -> None:
    with pytest.raises(InvalidInput) as refusal:
        split_batch(b'{"Events":[]}', at_most=10)
    assert [problem.path for problem in refusal.value.fields] == ["events", "Events"]


def test_a_key_that_is_not_utf8_is_told_so() -> None:
    with pytest.raises(MalformedBody, match="not UTF-8 at byte 15"):
        split_batch(b'{"events":[], "\xff":1}', at_most=10)


@pytest.mark.parametrize("unit", ["[]", '{""}', '"",', "1,", "[", " "])
@pytest.mark.parametrize("before", ["[", '["'])
def test_a_large_batch_of_any_shape_is_followed_in_many_steps(before: str, unit: str) -> None:
    raw = f'{{"events":[{before}{unit * (2_000_000 // len(unit))}'.encode()
    steps = batches.split_batch(raw, at_most=1_000)
    taken: list[None] = []
    with pytest.raises(MalformedBody, match="is not closed"):
        taken.extend(steps)
    assert len(taken) >= 3


def test_no_shape_takes_ten_times_the_steps_of_a_plain_one() -> None:
    """A step is a bounded amount of work, so this is processor time without a clock."""
    bodies = shapes(2_000_000)
    steps = {
        name: sum(1 for _ in batches.split_batch(b'{"events":[%b]}' % raw, at_most=1_000))
        for name, raw in bodies.items()
    }
    assert max(steps.values()) <= 10 * steps["plain"], steps


@pytest.mark.parametrize("size", [100, 20_000, 300_000])
@pytest.mark.parametrize("text", ["x", "\\n", '\\"', "[", "é"])
def test_strings_of_any_length_hide_what_is_in_them(text: str, size: int) -> None:
    item = f'{{"a":["{text * (size // len(text))}"]}}'
    assert texts(split_batch(batch(item, "1"), at_most=2)) == [item, "1"]
    assert texts(finish(_Follower(batch(item, "1"), 2).items())) == [item, "1"]
