from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.domain.catalogue import load_catalogue
from hookline.domain.selection import (
    Licence,
    PbxPolicy,
    Selection,
    allows,
    parse_selection,
    restore_selection,
)
from hookline.errors import InvalidInput

CATALOGUE = load_catalogue()


def parse(raw: object) -> Selection:
    return parse_selection(raw, CATALOGUE)


def problems(raw: object) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        parse(raw)
    return {problem.path: problem.message for problem in caught.value.fields}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:  # a list or "all" for each group
    chosen = draw(st.lists(st.sampled_from(CATALOGUE.groups), min_size=1, unique=True))
    return {
        group.name: draw(
            st.just("all")
            | st.lists(st.sampled_from([kind.name for kind in group.types]), min_size=1)
        )
        for group in chosen
    }


@given(documents())
def test_a_selection_comes_back_as_it_was_given(raw: dict[str, Any]) -> None:
    document = parse(raw).as_document()
    assert {name: c if c == "all" else set(c) for name, c in document.items()} == {
        name: c if c == "all" else set(c) for name, c in raw.items()
    }
    assert parse(document) == parse(raw)
    assert restore_selection(dict(reversed(document.items())), CATALOGUE) == parse(raw)


@given(documents())
def test_it_wants_exactly_what_it_names(raw: dict[str, Any]) -> None:
    selection = parse(raw)
    for kind in CATALOGUE.types:
        chosen = raw.get(kind.group, [])
        assert selection.wants(kind.name, kind.group) == (chosen == "all" or kind.name in chosen)


def test_groups_and_types_come_back_in_the_forms_order_without_duplicates() -> None:
    selection = parse(
        {
            "sms": "all",
            "call": ["call:end", "call:live:progress", "call:end", "call:start"],
        }
    )
    assert list(selection.as_document().items()) == [
        ("call", ["call:live:progress", "call:start", "call:end"]),
        ("sms", "all"),
    ]


def test_all_covers_names_that_are_not_yet_known_and_a_list_does_not() -> None:
    name = "call:live:whatever"
    group = CATALOGUE.group_of(name)
    assert parse({"call": "all"}).wants(name, group)
    every_known = [kind.name for kind in CATALOGUE.types if kind.group == "call"]
    assert not parse({"call": every_known}).wants(name, group)


def test_an_event_of_no_group_is_wanted_by_nobody() -> None:
    everything = parse({group.name: "all" for group in CATALOGUE.groups})
    assert not everything.wants("fax:sent", None)


def test_the_same_choice_is_equal_and_hashable() -> None:
    one = parse({"chat": "all", "sms": ["sms:status"]})
    other = parse({"sms": ["sms:status", "sms:status"], "chat": "all"})
    assert {one} == {other}


def test_an_unknown_group_is_named_with_the_nearest() -> None:
    assert problems({"calls": "all"}) == {
        "events.calls": "There is no group 'calls'; did you mean call? "
        "Allowed are call, conference, chat, analytics, presence, sms, service."
    }


def test_an_unknown_group_with_no_likeness_lists_what_is_allowed() -> None:
    assert problems({"zzz": "all"}) == {
        "events.zzz": "There is no group 'zzz'; "
        "allowed are call, conference, chat, analytics, presence, sms, service."
    }


def test_a_type_of_another_group_is_named_with_its_group() -> None:
    assert problems({"analytics": ["call:completed", "call:start"]}) == {
        "events.analytics[1]": "call:start is of the group call, not analytics: choose it there."
    }


def test_a_type_that_does_not_exist_is_named_with_the_nearest() -> None:
    message = problems({"chat": ["chat:mesage:new"]})["events.chat[0]"]
    assert message == (
        "'chat:mesage:new' is not a type of the group chat; did you mean chat:message:new? "
        "Allowed are chat:channel:created, chat:message:new."
    )


def test_a_misspelt_type_of_another_group_is_named_with_its_group() -> None:
    message = problems({"call": ["call:complted"]})["events.call[0]"]
    assert message == (
        "'call:complted' is not a type of the group call; "
        "did you mean call:completed, of the group analytics?"
    )


def test_a_type_that_only_the_naming_rules_know_is_refused_in_a_list() -> None:
    assert "events.call[0]" in problems({"call": ["call:live:whatever"]})


@pytest.mark.parametrize("raw", [{}, None, [], "all", 1, [["call", "all"]]])
def test_nothing_or_no_object_is_refused_as_a_whole(raw: object) -> None:
    assert list(problems(raw)) == ["events"]


@pytest.mark.parametrize("chosen", [None, True, 1, "ALL", "call:start", {"call:start": True}])
def test_a_choice_is_all_or_a_list(chosen: object) -> None:
    assert problems({"chat": chosen}) == {
        "events.chat": 'Give "all" or a list of this group\'s types: '
        "chat:channel:created, chat:message:new."
    }


def test_an_empty_list_says_to_leave_the_group_out() -> None:
    assert problems({"sms": [], "call": "all"}) == {
        "events.sms": "Name at least one type, or leave the group out."
    }


@pytest.mark.parametrize("item", [None, 1, ["sms:status"], {}])
def test_a_list_holds_names_alone(item: object) -> None:
    assert list(problems({"sms": ["sms:status", item]})) == ["events.sms[1]"]


def test_every_wrong_field_is_told_at_once() -> None:
    assert list(problems({"calls": "all", "chat": [], "sms": ["x", "sms:status", "y"]})) == [
        "events.calls",
        "events.chat",
        "events.sms[0]",
        "events.sms[2]",
    ]


def test_a_flood_of_wrong_names_is_answered_with_the_first_twenty_and_in_short() -> None:
    found = problems({"call": ["x" * 100_000] * 100_000})
    assert len(found) == 20
    assert all(len(message) < 500 for message in found.values())


def test_what_is_said_back_is_printable_whatever_was_sent() -> None:
    found = problems({"ca\x00l\ud800": "all", "sms": ["\ud83d\n"]})
    assert all(f"{path}{message}".isprintable() for path, message in found.items())
    assert all(f"{path}{message}".isascii() for path, message in found.items())


def test_a_stored_type_that_the_catalogue_lost_stays_chosen() -> None:
    stored = {"fax": "all", "sms": ["sms:vanished", "sms:status"]}
    selection = restore_selection({"fax": "all", "sms": ["sms:vanished", "sms:status"]}, CATALOGUE)
    assert selection.wants("sms:vanished", "sms")
    assert selection.as_document() == {**stored, "sms": ["sms:status", "sms:vanished"]}
    assert list(selection.as_document()) == ["sms", "fax"]


@pytest.mark.parametrize(
    ("licence", "presence_events", "sent"),
    [
        (Licence.X_BEES, True, True),
        (Licence.X_BEES, False, True),
        (Licence.COLLABORATION, True, True),
        (Licence.COLLABORATION, False, False),
    ],
)
def test_a_covered_event_goes_out_by_licence_and_setting(
    licence: Licence, *, presence_events: bool, sent: bool
) -> None:
    pbx = PbxPolicy(company="it_w000001", licence=licence, presence_events=presence_events)
    assert allows(pbx, licensed=True) is sent


def test_a_pbx_that_was_never_described_sends_covered_events() -> None:
    assert allows(None, licensed=True)


@pytest.mark.parametrize("licence", list(Licence))
def test_an_event_that_is_not_covered_always_goes_out(licence: Licence) -> None:
    assert allows(PbxPolicy("it_w000001", licence, presence_events=False), licensed=False)


def test_licences_are_named_as_the_api_names_them() -> None:
    assert [str(licence) for licence in Licence] == ["x-bees", "collaboration"]
