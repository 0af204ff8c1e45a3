import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.domain.documents import deepest, parse_document
from hookline.errors import MalformedBody, TooLarge


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "This is not JSON: Expecting value at line 1, column 1."),
        (b'{"a":NaN}', "This is not JSON: NaN is not a JSON value at line 1, column 6."),
        (b"[1,\n-Infinity]", "This is not JSON: -Infinity is not a JSON value at line 2, column"),
        (b"[1,]", "This is not JSON: Expecting value at line 1, column 4."),
        (b"{} x", "This is not JSON: Extra data at line 1, column 4."),
        (b"{'a':1}", "This is not JSON: Expecting property name enclosed in double quotes at"),
        (b'"a\x00"', "This is not JSON: Invalid control character at at line 1, column 3."),
        (b'"\xff"', "This is not UTF-8: invalid start byte at byte 1."),
        (b'"\xed\xa0\x80"', "This is not UTF-8: invalid continuation byte at byte 1."),
        (b"\xef\xbb\xbf{}", "This starts with a byte order mark (byte 0); send JSON without one."),
        ("{}".encode("utf-16"), "This is not UTF-8: invalid start byte at byte 0."),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(raw: bytes, message: str) -> None:
    with pytest.raises(MalformedBody) as refusal:
        parse_document(raw, depth=64)
    assert str(refusal.value).startswith(message)


def test_documents_nest_as_deep_as_allowed_and_no_deeper() -> None:
    parse_document(nested(64), depth=64)
    with pytest.raises(TooLarge, match="at most 64 deep"):
        parse_document(nested(65), depth=64)


@pytest.mark.parametrize("raw", [nested(10_000), b"[" * 1_000_000, b'{"a":' * 10_000])
def test_very_deep_documents_are_refused_before_they_are_parsed(raw: bytes) -> None:
    with pytest.raises(TooLarge):
        parse_document(raw, depth=64)


def test_a_deep_document_with_a_lone_surrogate_is_refused_for_its_depth() -> None:
    with pytest.raises(TooLarge):
        parse_document(b'["\\ud800",' + nested(10_000) + b"]", depth=64)


@pytest.mark.parametrize(
    ("raw", "depth"),
    [
        (b'"[[[["', 0),
        (rb'["\"[[", "\\", [], "\\\"[["]', 2),
        (b'{"[":{"]":[]}}', 3),
        (b"[]" * 1_000, 1),
        (b"]]][[", 0),
        (b'["[[[[', 1),
        (b'"' + b'\\"' * 100_000 + b"[", 0),
        ('["é[", "\u2028["]'.encode(), 1),
    ],
)
def test_brackets_are_counted_outside_of_strings_alone(raw: bytes, depth: int) -> None:
    assert deepest(raw) == depth


def test_wide_documents_are_not_deep() -> None:
    parse_document(b"[" + b",".join([b'{"[[[[":["]]]"]}'] * 1_000) + b"]", depth=3)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text('[]{}",:\\1 a').map(str.encode))
def test_whatever_the_bytes_the_standard_library_refuses_what_is_refused(raw: bytes) -> None:
    try:
        expected = json.loads(raw.decode())
    except ValueError:
        with pytest.raises((MalformedBody, TooLarge)):
            parse_document(raw, depth=8)
    else:
        assert parse_document(raw, depth=200) == expected


def test_a_million_digits_are_read_as_the_infinity_that_they_are_in_javascript() -> None:
    assert parse_document(b"9" * 1_000_000, depth=1) == float("inf")
    assert parse_document(b"0." + b"1" * 1_000_000, depth=1) == 1 / 9
