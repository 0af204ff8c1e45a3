"""Event patterns: which events pass, what is refused, and what the evaluation costs at most."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.domain.filter_matchers import MOST_STEPS, Work
from hookline.domain.filters import FilterIndex, parse_filter
from hookline.errors import InvalidInput

CALL: dict[str, Any] = {
    "id": "1721836787.1",
    "pbx": "000000000001",
    "company": "it_w000001",
    "time": 1721836787753,
    "type": "call:completed",
    "data": {
        "direction": "INBOUND",
        "duration": 42.5,
        "internal": False,
        "queue": None,
        "tags": ["vip", "Italia"],
        "none": [],
        "flows": [
            {"extension": "230", "caller": {"name": "Straße"}, "legs": [[1, 2], [3]]},
            {"extension": "7", "answered": True},
        ],
        "file": "calls/2024/07/a.wav",
        "odd": "a*b\\c",
    },
}


def data(**fields: object) -> dict[str, object]:
    return {"data": fields}


PASSES = [
    {"type": ["call:completed"]},
    {"type": ["call:missed", "call:completed"], "pbx": ["000000000001"]},
    {"time": [1721836787753.0]},
    data(direction=["INBOUND"], duration=[{"numeric": [">=", 42.5]}]),
    data(duration=[42.5]),
    data(duration=[{"numeric": ["=", 42.5]}]),
    data(duration=[{"numeric": [">", 42, "<=", 42.5]}]),
    data(duration=[{"numeric": ["<", 100]}]),
    data(internal=[False]),
    data(queue=[None]),
    data(queue=[{"exists": True}]),
    data(tags=["vip"]),
    data(tags=["nobody", {"prefix": "It"}]),
    data(flows={"extension": ["230", {"prefix": "24"}]}),
    data(flows={"extension": ["230"], "caller": {"name": [{"equals-ignore-case": "STRASSE"}]}}),
    data(flows={"legs": [3]}),
    data(flows={"answered": [True]}),
    data(missing=[{"exists": False}]),
    data(missing={"below": {"it": [{"exists": False}]}}),
    data(direction={"below": [{"exists": False}]}),
    data(none=[{"exists": False}]),
    data(flows=[{"exists": False}]),  # an object is no leaf
    data(direction=["OUTBOUND", {"exists": True}]),
    data(missing=["x", {"exists": False}]),
    data(file=[{"suffix": ".wav"}]),
    data(file=[{"suffix": {"equals-ignore-case": ".WAV"}}]),
    data(file=[{"prefix": {"equals-ignore-case": "CALLS/"}}]),
    data(file=[{"wildcard": "calls/*/07/*.wav"}]),
    data(file=[{"wildcard": "*"}]),
    data(file=[{"wildcard": "calls/2024/07/a.wav*"}]),
    data(odd=[{"wildcard": r"a\*b\\*"}]),
    data(direction=[{"anything-but": "OUTBOUND"}]),
    data(direction=[{"anything-but": ["OUTBOUND", "INTERNAL", 1]}]),
    data(duration=[{"anything-but": [1, 2]}]),
    data(duration=[{"anything-but": {"prefix": "4"}}]),  # a number begins with no string
    data(queue=[{"anything-but": "x"}]),
    data(tags=[{"anything-but": "vip"}]),  # any element may match
    data(file=[{"anything-but": {"suffix": [".mp3", ".ogg"]}}]),
    data(file=[{"anything-but": {"wildcard": "*/2023/*"}}]),
    data(direction=[{"anything-but": {"equals-ignore-case": ["outbound"]}}]),
    {"$or": [data(direction=["OUTBOUND"]), data(duration=[42.5])]},
    {"data": {"direction": ["INBOUND"], "$or": [{"queue": ["1"]}, {"tags": ["vip"]}]}},
    {"$or": [{"$or": [{"type": ["x"]}, {"type": ["call:completed"]}]}]},
]
REFUSED = [
    ({"type": ["call"]}, "type"),
    ({"time": ["1721836787753"]}, "time"),
    (data(direction=["inbound"]), "data.direction"),
    (data(direction=["INBOUND"], duration=[{"numeric": [">", 42.5]}]), "data.duration"),
    (data(duration=["42.5"]), "data.duration"),
    (data(internal=[0, None, "false"]), "data.internal"),
    (data(flows={"answered": [1]}), "data.flows"),
    (data(queue=["null", 0, False]), "data.queue"),
    (data(queue=[{"exists": False}]), "data.queue"),
    (data(none=[{"exists": True}]), "data.none"),
    (data(none=[{"anything-but": "x"}]), "data.none"),
    (data(missing=[{"exists": True}]), "data.missing"),
    (data(missing=[None]), "data.missing"),
    (data(missing=[{"anything-but": "x"}]), "data.missing"),
    (data(direction=[{"exists": False}]), "data.direction"),
    (data(flows=[{"exists": True}]), "data.flows"),
    (data(flows={"answered": [{"exists": False}]}), "data.flows"),  # one of them has it
    (data(flows={"extension": ["230"], "answered": [True]}), "data.flows"),  # of one element
    (data(direction={"below": ["x"]}), "data.direction"),
    (data(file=[{"wildcard": "calls/*/08/*"}]), "data.file"),
    (data(file=[{"wildcard": "*a.wav*a.wav"}]), "data.file"),
    (data(file=[{"wildcard": "calls"}]), "data.file"),
    (data(odd=[{"wildcard": r"a\*c"}]), "data.odd"),
    (data(tags=[{"prefix": "vip2"}, {"suffix": "Vip"}]), "data.tags"),
    (data(duration=[{"prefix": "4"}]), "data.duration"),
    (data(direction=[{"anything-but": ["INBOUND"]}]), "data.direction"),
    (data(file=[{"anything-but": {"prefix": "calls"}}]), "data.file"),
    (data(file=[{"anything-but": {"wildcard": "*.wav"}}]), "data.file"),
    ({"$or": [{"type": ["x"]}, {"pbx": ["x"]}]}, "$or"),
    ({"data": {"direction": ["INBOUND"], "$or": [{"queue": ["1"]}]}}, "data.$or"),
    ({"absent": {"deep": ["x"]}}, "absent"),
]
WRONG = [
    ({}, "filter"),
    ([], "filter"),
    ("x", "filter"),
    ({"type": "call:completed"}, "filter.type"),
    ({"type": []}, "filter.type"),
    ({"data": {}}, "filter.data"),
    (data(a=[["x"]]), "filter.data.a[0]"),
    (data(a=["x", {}]), "filter.data.a[1]"),
    (data(a=[{"prefix": "a", "suffix": "b"}]), "filter.data.a[0]"),
    (data(a=[{"prefx": "a"}]), "filter.data.a[0].prefx"),
    (data(a=[{"prefix": 1}]), "filter.data.a[0].prefix"),
    (data(a=[{"prefix": ""}]), "filter.data.a[0].prefix"),
    (data(a=[{"prefix": {"suffix": "a"}}]), "filter.data.a[0].prefix"),
    (data(a=[{"equals-ignore-case": ["a"]}]), "filter.data.a[0].equals-ignore-case"),
    (data(a=[{"wildcard": "a**b"}]), "filter.data.a[0].wildcard"),
    (data(a=[{"wildcard": "a\\b"}]), "filter.data.a[0].wildcard"),
    (data(a=[{"wildcard": "a\\"}]), "filter.data.a[0].wildcard"),
    (data(a=[{"wildcard": ""}]), "filter.data.a[0].wildcard"),
    (data(a=[{"exists": "true"}]), "filter.data.a[0].exists"),
    (data(a=[{"numeric": []}]), "filter.data.a[0].numeric"),
    (data(a=[{"numeric": ["!=", 1]}]), "filter.data.a[0].numeric"),
    (data(a=[{"numeric": [">", "1"]}]), "filter.data.a[0].numeric"),
    (data(a=[{"numeric": [">", True]}]), "filter.data.a[0].numeric"),
    (data(a=[{"numeric": ["<", 5, ">", 1]}]), "filter.data.a[0].numeric"),
    (data(a=[{"numeric": [">", 5, "<", 5]}]), "filter.data.a[0].numeric"),
    (data(a=[{"numeric": ["=", 1, "=", 2]}]), "filter.data.a[0].numeric"),
    (data(a=[{"anything-but": []}]), "filter.data.a[0].anything-but"),
    (data(a=[{"anything-but": None}]), "filter.data.a[0].anything-but"),
    (data(a=[{"anything-but": {"numeric": ["=", 1]}}]), "filter.data.a[0].anything-but"),
    (data(a=[{"anything-but": {"prefix": []}}]), "filter.data.a[0].anything-but.prefix"),
    (data(a=[{"anything-but": {"prefix": [1]}}]), "filter.data.a[0].anything-but.prefix"),
    (data(a=[float("inf")]), "filter.data.a[0]"),
    (data(a=[10**400]), "filter.data.a[0]"),
    (data(a=["\ud800"]), "filter"),
    ({"$or": {}}, "filter.$or"),
    ({"$or": []}, "filter.$or"),
    ({"$or": [{"a": ["x"]}, 1]}, "filter.$or"),
    ({"data": {"$or": [{"a": ["x"]}, {"b": 1}]}}, "filter.data.$or[1].b"),
    ({"data": {"$or": [{"$or": [{"a": {"b": 1}}]}]}}, "filter.data.$or[0].$or[0].a.b"),
    (
        {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": ["x"]}}}}}}}}},
        "filter.a.b.c.d.e.f.g.h.i",
    ),
    (data(a=["x" * 4096]), "filter"),
    ({f"f{number}": [1] for number in range(101)}, "filter"),
]


@pytest.mark.parametrize("pattern", PASSES, ids=json.dumps)
def test_a_pattern_lets_an_event_pass(pattern: dict[str, object]) -> None:
    compiled = parse_filter(pattern)
    assert compiled.matches(CALL)
    assert compiled.refusal(CALL) is None


@pytest.mark.parametrize(("pattern", "path"), REFUSED, ids=json.dumps)
def test_a_pattern_refuses_an_event_and_says_where(pattern: dict[str, object], path: str) -> None:
    compiled = parse_filter(pattern)
    assert not compiled.matches(CALL)
    assert compiled.refusal(CALL) == path


@pytest.mark.parametrize(("pattern", "path"), WRONG, ids=str)
def test_a_wrong_pattern_is_refused_by_path(pattern: object, path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_filter(pattern)
    assert [problem.path for problem in refused.value.fields] == [path]


def test_all_of_a_patterns_problems_are_told_but_not_thousands() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_filter(data(**{f"f{number}": "x" for number in range(50)}))
    assert [each.path for each in refused.value.fields][:2] == ["filter.data.f0", "filter.data.f1"]
    assert len(refused.value.fields) == 20


def test_eight_levels_hundred_leaves_and_four_kib_are_taken() -> None:
    deep = {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": ["x"]}}}}}}}}
    assert parse_filter(deep).paths == ("a.b.c.d.e.f.g.h",)
    assert len(parse_filter({f"f{number}": [1] for number in range(100)}).paths) == 100
    pattern = data(a=["x" * (4096 - len('{"data":{"a":[""]}}'))])
    assert parse_filter(pattern).pattern == pattern


# What values may be: enough of each kind that leaves often meet one that they match.
SCALARS = st.one_of(
    st.sampled_from(["", "a", "ab", "A", "b*", "ba", "é", "ß", "ss"]),
    st.sampled_from([0, 1, -1, 1.5, 2**53, 1e300]),
    st.booleans(),
    st.none(),
)
NAMES = st.sampled_from(["a", "b", "c"])
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=12,
    ),
    max_size=3,
)
TEXTS = st.sampled_from(["a", "ab", "b", "A", "SS"])
MATCHERS = st.one_of(
    st.fixed_dictionaries({"prefix": TEXTS}),
    st.fixed_dictionaries({"suffix": TEXTS}),
    st.fixed_dictionaries({"equals-ignore-case": TEXTS}),
    st.fixed_dictionaries({"wildcard": st.sampled_from(["*a", "a*", "*", "a*b", r"*\*"])}),
    st.fixed_dictionaries({"anything-but": st.lists(TEXTS, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"numeric": st.sampled_from([[">", 0], ["=", 1], [">=", 0, "<", 2]])}),
    st.fixed_dictionaries({"exists": st.booleans()}),
)
LEAVES = st.lists(SCALARS | MATCHERS, min_size=1, max_size=3)
PATTERNS = st.dictionaries(
    NAMES,
    st.recursive(
        LEAVES, lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=2), max_leaves=4
    ),
    min_size=1,
    max_size=2,
)


@given(pattern=PATTERNS, document=DOCUMENTS)
def test_a_refusal_names_a_field_of_the_pattern_exactly_where_an_event_does_not_pass(
    pattern: dict[str, object], document: dict[str, object]
) -> None:
    compiled = parse_filter(pattern)
    refusal = compiled.refusal(document)
    assert compiled.matches(document) is (refusal is None)
    if refusal is not None:
        assert any(path == refusal or path.startswith(f"{refusal}.") for path in compiled.paths)


@given(pattern=PATTERNS, other=PATTERNS, document=DOCUMENTS)
def test_or_is_either_of_its_patterns_and_keys_are_all_of_them(
    pattern: dict[str, object], other: dict[str, object], document: dict[str, object]
) -> None:
    one, two = parse_filter(pattern), parse_filter(other)
    either = parse_filter({"$or": [pattern, other]})
    assert either.matches(document) is (one.matches(document) or two.matches(document))
    both = parse_filter({**pattern, "$or": [other]})
    assert both.matches(document) is (one.matches(document) and two.matches(document))


@given(leaf=LEAVES, value=SCALARS, others=st.lists(SCALARS, max_size=3))
def test_of_an_array_any_element_may_match(
    leaf: list[object], value: object, others: list[object]
) -> None:
    compiled = parse_filter({"a": leaf})
    if compiled.matches({"a": value}):
        assert compiled.matches({"a": [*others, [value]]})


HUGE = st.sampled_from(  # with the steps of its longest string
    [
        (["a"] * 200_000, 1),
        ([[["a"]]] * 100_000, 1),
        ([{"b": "a"}] * 100_000, 1),
        ([{"b": ["a"] * 300}] * 300, 1),
        ([{}] * 300_000, 1),
        ("a" * 1_000_000, 62_501),
        (["a" * 500_000, "b" * 500_000], 31_251),
        (["\N{LATIN SMALL LETTER SHARP S}" * 1_000] * 500, 63),
    ]
)


@settings(max_examples=60, deadline=None)
@given(huge=HUGE, pattern=PATTERNS)
def test_no_pattern_costs_more_than_its_steps_on_any_event(
    huge: tuple[object, int], pattern: dict[str, object]
) -> None:
    value, longest = huge
    work = Work(document := {"a": value})
    parse_filter({"$or": [pattern, {"a": pattern}]}).matches(document, work)
    assert work.left >= -100 * (longest + 1)  # what was refused is counted, once for each test


@given(patterns=st.lists(PATTERNS | st.none(), max_size=6), document=DOCUMENTS)
def test_an_index_never_leaves_out_a_filter_that_an_event_passes(
    patterns: list[dict[str, object] | None], document: dict[str, object]
) -> None:
    filters = [parse_filter(pattern) if pattern else None for pattern in patterns]
    possible = FilterIndex(filters).possible(document)
    passing = {at for at, each in enumerate(filters) if each is None or each.matches(document)}
    assert possible is not None
    assert possible >= passing


@pytest.mark.parametrize(
    ("document", "possible"),
    [
        ({"to": "230", "way": "IN"}, {0, 2, 3, 4}),
        ({"to": ["7", ["231"]], "way": "IN"}, {1, 2, 3, 4}),
        ({"to": 230, "way": "OUT"}, {2, 3, 4}),
        ({"to": ["230"] * 10_000}, None),
    ],
    ids=["one has it", "of an array", "no string", "too large to tell"],
)
def test_an_index_tells_filters_apart_by_the_strings_that_they_require(
    document: dict[str, object], possible: set[int] | None
) -> None:
    patterns: list[dict[str, object]] = [
        {"way": ["IN"], "to": ["230"]},
        {"way": ["IN"], "to": ["231", "232"]},
        {"way": [{"prefix": "I"}]},
        {"$or": [{"to": ["233"]}, {"to": ["234"]}]},
    ]
    index = FilterIndex([*map(parse_filter, patterns), None])
    assert index.possible(document) == possible


def test_what_is_searched_for_counts_by_the_characters_it_is_searched_in() -> None:
    part = "a" * 40 + "b" + "a" * 40
    compiled = parse_filter({"a": [{"wildcard": f"*{part}*"}]})
    work = Work(document := {"a": "a" * 25_600})
    assert not compiled.matches(document, work)
    assert MOST_STEPS - work.left == 201  # of 128 characters each
    assert compiled.matches({"a": f"{'a' * 25_600}{part}\n"})
    assert not compiled.matches({"a": f"{'b' * 400_000}{part}"})  # takes too many


def test_what_takes_too_many_steps_does_not_match() -> None:
    many = {"a": ["x"] * 20_000 + ["y"]}
    assert not parse_filter({"a": ["y"]}).matches(many)
    assert not parse_filter({"a": [{"anything-but": "x"}]}).matches(many)
    assert not parse_filter({"a": {"b": [{"exists": False}]}}).matches({"a": [{"b": 1}] * 20_000})
    assert parse_filter({"a": ["x"]}).matches(many)
