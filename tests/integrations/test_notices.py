"""What Hookline tells of itself: equal for equal rows, and as the catalogue describes it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from hookline.domain.catalogue import load_catalogue
from hookline.domain.deliveries import ErrorKind
from hookline.domain.health import HEALTHY, Health, HealthState
from hookline.integrations import notices
from hookline.integrations.notices import Exhausted, Notice, WrittenNotice

CATALOGUE = load_catalogue()
FAILING = Health(HealthState.FAILING, datetime(2026, 3, 1, 12, tzinfo=UTC), ErrorKind.TIMEOUT)
EXAMPLE = "0190e5a1-2c5e-7cc1-a9a7-53be1c1d0b51"
ALL = [
    notices.paused("s95eum", FAILING),
    notices.recovered("s95eum", FAILING),
    notices.disabled("s95eum", "manual", "somebody", HEALTHY),
    notices.disabled("s95eum", "failing", "hookline", FAILING),
    notices.exhausted("s95eum", Exhausted(1, (EXAMPLE,), ErrorKind.STATUS)),
]


def written(notice: Notice) -> WrittenNotice:
    """Return a notice as it comes back from where it was written down."""
    kept = replace(notice, data=orjson.loads(orjson.dumps(notice.data)))
    told_at = datetime(2026, 3, 1, 12, 30, 0, 123_456, tzinfo=UTC)
    return WrittenNotice(7, kept, "CRM „Köln“", "000000000001", "it_w000001", told_at)


def envelope(notice: Notice) -> dict[str, Any]:  # a JSON document
    document: dict[str, Any] = orjson.loads(written(notice).event().payload)
    return document


@pytest.mark.parametrize("notice", ALL, ids=lambda notice: notice.type)
def test_a_notice_is_as_the_catalogue_describes_and_shows_it(notice: Notice) -> None:
    kind = CATALOGUE.find(notice.type)
    assert kind is not None
    data = envelope(notice)["data"]
    schema = {**kind.schema, "components": {"schemas": CATALOGUE.shapes}}
    Draft202012Validator(schema).validate(data)
    assert set(data) == set(kind.example["data"])
    assert set(data) <= schema_fields(schema)


def test_a_timestamp_is_written_as_in_the_examples() -> None:
    shown = envelope(notices.paused("s95eum", FAILING))["data"]["since"]
    assert shown == "2026-03-01T12:00:00.000Z"


def schema_fields(schema: dict[str, Any]) -> set[str]:  # a JSON Schema
    if reference := schema.get("$ref"):
        schema = dict(CATALOGUE.shapes[reference.rpartition("/")[2]])
    return set(schema["properties"])


@pytest.mark.parametrize("notice", ALL, ids=lambda notice: notice.type)
def test_nobody_else_may_send_one(notice: Notice) -> None:
    assert CATALOGUE.is_reserved(notice.type)


def test_equal_rows_are_equal_events_and_others_are_not() -> None:
    once, again = written(ALL[0]), written(ALL[0])
    assert once.event().payload == again.event().payload
    assert once.event().digest("x") == again.event().digest("x")
    later = replace(once, told_at=datetime(2026, 3, 1, 12, 31, tzinfo=UTC))
    assert later.event().digest("x") != once.event().digest("x")


def test_it_says_who_it_is_about_and_when() -> None:
    document = envelope(ALL[2])
    assert document == {
        "id": "s95eum",
        "pbx": "000000000001",
        "company": "it_w000001",
        "time": 1_772_368_200_123,
        "type": "integration:disabled",
        "data": {
            "integrationId": "s95eum",
            "name": "CRM „Köln“",
            "state": "disabled",
            "reason": "manual",
            "disabledBy": "somebody",
            "since": None,
            "lastError": None,
        },
    }


def test_an_envelope_without_a_known_company_says_so() -> None:
    event = replace(written(ALL[0]), company=None).event()
    assert event.company == "unknown"


def test_groups_of_exhausted_deliveries_add_up_and_keep_the_first_examples() -> None:
    early = Exhausted(20, tuple("abcdefgh"), ErrorKind.TIMEOUT)
    late = Exhausted(5, tuple("ijklm"), ErrorKind.REFUSED)
    assert early.followed_by(late) == Exhausted(25, tuple("abcdefghij"), ErrorKind.REFUSED)
    assert Exhausted().followed_by(late) == late
