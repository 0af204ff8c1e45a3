import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hookline.domain.catalogue import EventFormat, EventType, load_catalogue

CATALOGUE = load_catalogue()
PAYLOADS = sorted((Path(__file__).parents[1] / "events").glob("*/*.json"))
ENVELOPE = {"id", "pbx", "company", "time", "type", "data"}


def paths_of(document: object, path: str = "") -> Iterator[str]:
    match document:
        case dict():
            for key, value in document.items():
                yield f"{path}.{key}"
                yield from paths_of(value, f"{path}.{key}")
        case list():
            for value in document:
                yield from paths_of(value, f"{path}[]")


def schema_of(kind: EventType) -> dict[str, Any]:  # a JSON Schema
    return {**kind.schema, "components": {"schemas": CATALOGUE.shapes}}


def test_the_groups_come_in_the_forms_order() -> None:
    assert [group.name for group in CATALOGUE.groups] == [
        "call",
        "conference",
        "chat",
        "analytics",
        "presence",
        "sms",
        "service",
    ]


def test_it_is_read_once_and_each_one_takes_types_of_its_own() -> None:
    one, other = load_catalogue(), load_catalogue()
    assert one.groups is other.groups
    custom = replace(one.types[0], name="call:parked", built_in=False)
    imitation = replace(one.types[1], title="Mine", built_in=False)

    one.take([custom, imitation])

    assert one.find("call:parked") is custom
    assert one.find(imitation.name) == other.find(imitation.name)
    assert one.groups[0].types == (*other.groups[0].types, custom)
    assert other.find("call:parked") is None
    one.take([])
    assert one.groups == other.groups


def test_every_name_of_the_domain_is_known_in_its_group() -> None:
    assert {group.name: [kind.name for kind in group.types] for group in CATALOGUE.groups} == {
        "call": [
            "call:live:progress",
            "call:live:completed",
            "call:live:interrupted",
            "call:live:transcription",
            "call:start",
            "call:update",
            "call:end",
        ],
        "conference": [
            "conference:live:progress",
            "conference:live:join",
            "conference:live:transcription",
        ],
        "chat": ["chat:channel:created", "chat:message:new"],
        "analytics": [
            "call:completed",
            "call:transcription:completed",
            "call:transcription:text:completed",
            "call:summary:completed",
            "conference:transcription:completed",
            "conference:transcription:text:completed",
            "conference:summary:completed",
        ],
        "presence": ["presence:user", "presence:telephony", "presence:conference"],
        "sms": ["sms:status"],
        "service": [
            "integration:paused",
            "integration:recovered",
            "integration:disabled",
            "delivery:exhausted",
        ],
    }


def test_what_hookline_announces_itself_is_reserved() -> None:
    reserved = [kind.name for kind in CATALOGUE.types if CATALOGUE.is_reserved(kind.name)]
    assert reserved == [kind.name for kind in CATALOGUE.types if kind.group == "service"]
    assert CATALOGUE.is_reserved("integration:whatever")
    assert not CATALOGUE.is_reserved("integrations:whatever")


def test_the_licence_rule_covers_exactly_two_types() -> None:
    assert {kind.name for kind in CATALOGUE.types if kind.licensed} == {
        "presence:user",
        "presence:telephony",
    }
    assert CATALOGUE.is_licensed("presence:user")
    assert not CATALOGUE.is_licensed("presence:conference")
    assert not CATALOGUE.is_licensed("presence:user:new")


def test_only_transcripts_as_text_are_text() -> None:
    assert {kind.name for kind in CATALOGUE.types if kind.format is EventFormat.TEXT} == {
        "call:transcription:text:completed",
        "conference:transcription:text:completed",
    }


def test_an_example_is_a_whole_envelope_without_integration_id(subtests: pytest.Subtests) -> None:
    for kind in CATALOGUE.types:
        with subtests.test(kind.name):
            without_pbx = kind.name.startswith(("conference:", "chat:"))
            assert set(kind.example) == (ENVELOPE - {"pbx"} if without_pbx else ENVELOPE)
            assert kind.example["type"] == kind.name
            assert isinstance(kind.example["time"], int)


def test_an_example_fits_its_schema(subtests: pytest.Subtests) -> None:
    for kind in CATALOGUE.types:
        with subtests.test(kind.name):
            Draft202012Validator.check_schema(schema_of(kind))
            Draft202012Validator(schema_of(kind)).validate(kind.example["data"])


def test_a_schema_is_open_to_fields_of_newer_firmware(subtests: pytest.Subtests) -> None:
    for kind in CATALOGUE.types:
        with subtests.test(kind.name):
            newer = {**kind.example["data"], "madeUpByNewerFirmware": {"deep": [1]}}
            Draft202012Validator(schema_of(kind)).validate(newer)


def test_a_schema_refuses_content_that_is_no_object(subtests: pytest.Subtests) -> None:
    for kind in CATALOGUE.types:
        with subtests.test(kind.name):
            assert not Draft202012Validator(schema_of(kind)).is_valid("text")


def test_a_description_is_written_for_administrators(subtests: pytest.Subtests) -> None:
    for kind in CATALOGUE.types:
        with subtests.test(kind.name):
            assert len(kind.description) > 40
            assert kind.description.endswith(".")
            assert kind.title
            assert kind.title != kind.name


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda path: str(path.stem))
def test_a_real_payload_fits_its_schema_and_has_the_examples_fields(payload: Path) -> None:
    event = json.loads(payload.read_text(encoding="utf-8"))
    kind = CATALOGUE.find(event["type"])
    assert kind is not None
    Draft202012Validator(schema_of(kind)).validate(event["data"])
    assert set(paths_of(event)) - {".integrationId"} == set(paths_of(kind.example))


def test_every_shape_is_used_and_every_reference_leads_somewhere() -> None:
    text = json.dumps([[kind.schema for kind in CATALOGUE.types], dict(CATALOGUE.shapes)])
    parts = text.split('"#/components/schemas/')[1:]
    assert {part.split('"', 1)[0] for part in parts} == set(CATALOGUE.shapes)


def test_no_file_is_left_out_of_the_index() -> None:
    stored = {file.name for file in (files("hookline.domain") / "event_types").iterdir()}
    named = {f"{group.name}.json" for group in CATALOGUE.groups}
    assert stored == named | {"groups.json", "shapes.json"}


def test_the_naming_rules_alone_agree_with_the_catalogue(subtests: pytest.Subtests) -> None:
    for kind in CATALOGUE.types:
        with subtests.test(kind.name):
            older = type(CATALOGUE)((), CATALOGUE.naming, {})
            assert older.group_of(kind.name) == kind.group


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("call:live:whatever", "call"),
        ("call:live:whatever:completed", "call"),
        ("call:whatever", "call"),
        ("call:sentiment:completed", "analytics"),
        ("call:transcription:started", "analytics"),
        ("call:summary:changed", "analytics"),
        ("conference:live:leave", "conference"),
        ("conference:whatever", "conference"),
        ("conference:completed", "analytics"),
        ("conference:sentiment:completed", "analytics"),
        ("conference:summary:changed", "analytics"),
        ("chat:message:deleted", "chat"),
        ("presence:whatever", "presence"),
        ("sms:received", "sms"),
        ("integration:whatever", "service"),
        ("delivery:whatever", "service"),
    ],
)
def test_a_name_not_yet_known_is_placed_by_rule(name: str, group: str) -> None:
    assert CATALOGUE.find(name) is None
    assert CATALOGUE.group_of(name) == group


@pytest.mark.parametrize(
    "name", ["", "call", "calls:live:x", "CALL:live:x", "fax:sent", "x:call:live:progress", ":"]
)
def test_a_name_of_no_group_has_none(name: str) -> None:
    assert CATALOGUE.group_of(name) is None


@given(st.text(st.characters(codec=None), max_size=300))
def test_any_name_at_all_has_a_known_group_or_none(name: str) -> None:
    group = CATALOGUE.group_of(name)
    assert group is None or CATALOGUE.group(group) is not None


@given(st.text(max_size=50))
def test_what_follows_call_live_is_a_call_event(rest: str) -> None:
    assert CATALOGUE.group_of(f"call:live:{rest}") == "call"


def test_an_unknown_group_is_none() -> None:
    assert CATALOGUE.group("calls") is None
    analytics = CATALOGUE.group("analytics")
    assert analytics is not None
    assert analytics.title == "Analytics"
