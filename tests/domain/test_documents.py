import json
import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.domain.documents import deepest, parse_document, parse_unambiguous
from hookline.errors import MalformedBody, TooLarge
from support.json_texts import documents

LIBRARYS_WORDS = re.compile(r"Expecting|Invalid|Untermin|Illegal|Extra|codec|nothing that JSON")


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "This is empty; send one JSON document."),
        (b" \n", "This is empty; send one JSON document."),
        (b'{"a":NaN}', "This is not JSON: NaN is not a JSON value at line 1, column 6."),
        (b"[1,\n-Infinity]", "This is not JSON: -Infinity is not a JSON value at line 2, column"),
        (
            b"[01]",
            "This is not JSON: a comma or a closing bracket is expected at line 1, column 3.",
        ),
        (
            b"{} x",
            "This is not JSON: the document has ended, and more follows at line 1, column 4.",
        ),
        (b"{'a':1}", "This is not JSON: a name in double quotes is expected at line 1, column 2."),
        (b'{"a":1,}', "This is not JSON: a comma stands in front of a closing bracket at line 1,"),
        (b"[1, ]", "This is not JSON: a comma stands in front of a closing bracket at line 1,"),
        (b'{"a" 1}', "This is not JSON: a colon is expected at line 1, column 6."),
        (b"[nope]", "This is not JSON: a value is expected at line 1, column 2."),
        (b'["a', "This is not JSON: a string begins that does not end, at line 1, column 2."),
        (
            b'{"a":',
            "This is not JSON: the document ends before it is complete, at line 1, column 6.",
        ),
        (
            b'"a\x00"',
            "This is not JSON: a control character stands in a string at line 1, column 3.",
        ),
        (b'"\\x"', "This is not JSON: a backslash begins no escape at line 1, column 2."),
        (b'"\\u12x4"', "This is not JSON: four hexadecimal digits are expected at line 1, column"),
        (b'"\xff"', "This is not UTF-8 at byte 1; send JSON as UTF-8."),
        (b'"\xed\xa0\x80"', "This is not UTF-8 at byte 1; send JSON as UTF-8."),
        (b"\xef\xbb\xbf{}", "This starts with a byte order mark (byte 0); send JSON without one."),
        ("{}".encode("utf-16"), "This looks like UTF-16 or UTF-32 (byte 0); send JSON as UTF-8."),
        ("{}".encode("utf-16be"), "This looks like UTF-16 or UTF-32 (byte 0); send JSON as UTF-8."),
        ("{}".encode("utf-32le"), "This looks like UTF-16 or UTF-32 (byte 0); send JSON as UTF-8."),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(raw: bytes, message: str) -> None:
    with pytest.raises(MalformedBody) as refusal:
        parse_document(raw, depth=64)
    assert str(refusal.value).startswith(message)


@given(st.binary(max_size=40) | st.text('[]{}",:\\u1 aN').map(str.encode), st.binary(max_size=9))
def test_no_refusal_has_the_librarys_words(raw: bytes, more: bytes) -> None:
    with suppress(MalformedBody, TooLarge):
        parse_document(raw + more, depth=8)
        return
    with pytest.raises((MalformedBody, TooLarge), match=r"\.\Z") as refusal:
        parse_document(raw + more, depth=8)
    assert not LIBRARYS_WORDS.search(str(refusal.value))


@pytest.mark.parametrize(
    ("raw", "column"),
    [
        (b'{"a": 1, "a": 1}', 10),
        (b'{"a": 1, "\\u0061": [{}]}', 10),
        (b'[{"a": {"a": "a"}}, {"a": "}", "b": ["a"], "a" : 1}]', 44),
        (b'{"": {}, "": 1}', 10),
    ],
)
def test_a_name_that_stands_twice_is_refused_with_its_place(raw: bytes, column: int) -> None:
    with pytest.raises(MalformedBody, match=rf"a second time .* line 1, column {column}\."):
        parse_unambiguous(raw, depth=8)


def test_thousands_of_names_are_refused_before_anything_checks_them() -> None:
    raw = b"{%b}" % b",".join(b'"x%d":{"y":1}' % number for number in range(5_001))
    with pytest.raises(TooLarge, match="more than 10,000 names"):
        parse_unambiguous(raw, depth=8)
    assert parse_unambiguous(raw, depth=8, names=10_002)


@given(documents)
def test_names_stand_twice_where_a_parser_of_pairs_finds_them_twice(text: str) -> None:
    def once(members: list[tuple[str, object]]) -> dict[str, object]:
        assert len(dict(members)) == len(members)
        return dict(members)

    try:
        json.loads(text, object_pairs_hook=once)
    except AssertionError:
        with pytest.raises(MalformedBody, match="a second time"):
            parse_unambiguous(text.encode(), depth=64)
    else:
        parse_unambiguous(text.encode(), depth=64)


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
