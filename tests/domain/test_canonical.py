import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings

from hookline.domain.documents import canonical, parse_document
from hookline.errors import MalformedBody
from support import json_texts
from support.node import Node

DEPTH = 64
VECTORS: list[dict[str, str]] = json.loads(
    (Path(__file__).parent / "canonical_vectors.json").read_bytes()
)
generously = settings(max_examples=200, deadline=None)


def our_form(text: str) -> bytes:
    return canonical(parse_document(text.encode(), depth=DEPTH))


def test_the_committed_vectors_print_as_node_printed_them(subtests: pytest.Subtests) -> None:
    for vector in VECTORS:
        with subtests.test(vector["in"][:40]):
            assert our_form(vector["in"]) == vector["out"].encode()


def test_the_committed_vectors_are_still_what_node_prints(node: Node) -> None:
    for vector in VECTORS:
        assert node.round_trip(vector["in"]) == vector["out"].encode()


@generously
@given(text=json_texts.documents)
def test_any_document_prints_as_node_prints_it_and_once_more_the_same(
    node: Node, text: str
) -> None:
    once = our_form(text)
    assert once == node.round_trip(text)
    assert our_form(once.decode()) == once


@generously
@given(text=json_texts.numbers)
def test_any_number_prints_as_node_prints_it(node: Node, text: str) -> None:
    assert our_form(text) == node.round_trip(text)


@generously
@given(text=json_texts.damaged())
def test_what_node_refuses_is_refused_and_nothing_else(node: Node, text: str) -> None:
    expected = node.round_trip(text)
    if expected is None:
        with pytest.raises(MalformedBody):
            our_form(text)
    else:
        assert our_form(text) == expected


@pytest.mark.parametrize(
    "text", [r"\ud800", r"\\ud800", "\U0010fffe", r"\\", "\U0010fffed800", "/="]
)
def test_what_marks_surrogates_on_the_way_is_text_like_any_other(node: Node, text: str) -> None:
    document = f'{{"{text}":["\\udfff{text}","{text}",{{"{text}\\ud900":"{text}"}}]}}'
    assert our_form(document) == node.round_trip(document)


@pytest.mark.parametrize("number", [10**400, -(10**400), math.inf, -math.inf])
def test_a_number_that_javascript_reads_as_infinite_prints_as_null(number: float) -> None:
    assert canonical({"n": number}) == b'{"n":null}'


def test_a_value_that_no_json_text_has_is_refused() -> None:
    with pytest.raises(TypeError):
        canonical({"when": object()})
