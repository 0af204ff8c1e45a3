from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.domain import incremental
from hookline.domain.documents import canonical, parse_document
from hookline.domain.events import Limits, batch_in_steps, event_in_steps, parse_batch, parse_event
from hookline.domain.incremental import parse_in_steps
from hookline.errors import HooklineError, InvalidInput, MalformedBody, TooLarge
from shapes import event, shapes
from support import json_texts

DEPTH = 8
LARGE = 60_000
SHAPES = shapes(LARGE)

texts = (
    json_texts.documents
    | json_texts.damaged()
    | st.lists(json_texts.documents, min_size=2).map(lambda items: f"[{','.join(items)}]")
    | st.text('[]{}",:\\1 a')
)


def to_the_end(steps: Generator[None, None, Any]) -> tuple[Any, int]:
    """Return the result, and in how many steps it came."""
    for count in range(1_000_000):
        try:
            next(steps)
        except StopIteration as end:
            return end.value, count + 1
    raise AssertionError("The steps never end.")


def at_once(raw: bytes) -> object:
    return parse_document(raw, depth=DEPTH)


def in_steps(raw: bytes) -> object:
    return to_the_end(parse_in_steps(raw, depth=DEPTH))[0]


def printed(parse: Callable[[bytes], object], raw: bytes) -> bytes | type[Exception]:
    try:
        return canonical(parse(raw))
    except HooklineError as refusal:
        return type(refusal)


@settings(max_examples=200, deadline=None)
@given(text=texts, window=st.integers(1, 40))
def test_in_windows_of_any_size_a_text_is_taken_or_refused_as_at_once(
    text: str, window: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incremental, "WINDOW", window)
        assert printed(in_steps, text.encode()) == printed(at_once, text.encode())


@pytest.mark.parametrize("shape", SHAPES)
def test_every_large_shape_prints_as_it_does_at_once(shape: str) -> None:
    raw = SHAPES[shape]
    document, _ = to_the_end(parse_in_steps(raw, depth=64))
    assert canonical(document) == canonical(parse_document(raw, depth=64))


@pytest.mark.parametrize("shape", sorted(SHAPES.keys() - {"one long number", "thirty digits"}))
def test_a_large_shape_takes_a_step_for_every_window_of_it(shape: str) -> None:
    _, steps = to_the_end(event_in_steps(SHAPES[shape], Limits()))
    in_one_string = shape.startswith("one") and shape != "one lone surrogate"
    assert steps > (3 if in_one_string else LARGE // (2 * incremental.WINDOW))


def test_a_batch_of_large_and_small_events_lets_others_run_between_them() -> None:
    small, large = event(b'"small"'), SHAPES["plain"]
    body = b'{"events":[%b]}' % b",".join([small] * 500 + [large] * 2)
    results, steps = to_the_end(batch_in_steps(body, Limits()))
    assert results == [parse_event(small, Limits())] * 500 + [parse_event(large, Limits())] * 2
    assert steps > 500 * len(small) // incremental.WINDOW + 2 * LARGE // incremental.WINDOW


@pytest.mark.parametrize(
    ("tail", "problem"),
    [
        (b"]", "the document ends before it is complete"),
        (b"", "the document ends before it is complete"),
        (b"]}},", "the document has ended, and more follows"),
        (b",]}}", "a comma stands in front of a closing bracket"),
        (b",,1]}}", "a value is expected"),
        (b',"\xff"]}}', "This is not UTF-8 at byte"),
        (b",NaN]}}", "NaN is not a JSON value"),
        (b",01]}}", "a comma or a closing bracket is expected"),
        (b',"\x00"]}}', "a control character stands in a string"),
        (b',"never ends', "a string begins that does not end"),
    ],
)
def test_what_is_wrong_behind_many_windows_is_told_with_its_place(
    tail: bytes, problem: str
) -> None:
    raw = event(b"[%b" % b",".join([b'"plain"\n'] * 10_000)).removesuffix(b"}}") + tail
    with pytest.raises(MalformedBody, match=problem) as refusal:
        parse_event(raw, Limits())
    where = len(raw) - len(tail) if "UTF-8" in problem else 10_001
    assert "byte" in str(refusal.value) or f"line {where}, column" in str(refusal.value)


def test_nesting_is_bounded_across_windows() -> None:
    tower = b"[1," * 62 + b"1" + b"]" * 62
    filled = b"[%b]" % b",".join([b"1"] * 20_000 + [tower])
    with pytest.raises(TooLarge, match="at most 64 deep"):
        parse_event(event(filled), Limits())
    assert parse_event(event(filled), Limits(depth=65)).payload.endswith(b"]" * 63 + b"}}")


def test_a_key_that_is_given_again_windows_later_keeps_its_first_place() -> None:
    filler = b",".join([b'"k%d":1' % number for number in range(5_000)])
    raw = b'{"a":[%b],"b":1,%b,"a":2,"7":3}' % (b",".join([b"1"] * 20_000), filler)
    document = to_the_end(parse_in_steps(event(raw), depth=64))[0]
    assert canonical(document) == event(b'{"7":3,"a":2,"b":1,%b}' % filler)


def test_data_that_is_no_object_is_refused_whatever_its_size() -> None:
    raw = b'{"id":"1","company":"c","time":1,"type":"a:b","data":[%b]}' % b",".join([b"1"] * 20_000)
    with pytest.raises(InvalidInput) as refusal:
        parse_event(raw, Limits())
    assert [problem.path for problem in refusal.value.fields] == ["data"]


def test_an_envelope_of_thousands_of_members_is_refused() -> None:
    others = b",".join([b'"x%d":1' % number for number in range(1_000)])
    raw = b'{"id":"1","company":"c","time":1,"type":"a:b","data":{},%b}' % others
    with pytest.raises(TooLarge, match="at most 1000 members"):
        parse_event(raw, Limits())


def test_the_digest_is_made_for_the_pbx_that_will_route_the_event() -> None:
    event_of_key, _ = to_the_end(event_in_steps(SHAPES["plain"], Limits(), pbx="0001"))
    assert event_of_key.hashed == ("0001", parse_event(SHAPES["plain"], Limits()).digest("0001"))
    (in_batch,) = parse_batch(b'{"events":[%b]}' % SHAPES["plain"], Limits())
    assert in_batch == parse_event(SHAPES["plain"], Limits())
