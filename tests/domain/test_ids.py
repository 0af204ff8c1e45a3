import time
from datetime import UTC, datetime, timedelta

import pytest

from hookline.domain import ids


def test_ids_are_of_now_and_in_order() -> None:
    made = [ids.new_uuid() for _ in range(1_000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert abs(ids.created_at(made[0]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_ids_follow_a_clock_that_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.time_ns()
    ids.new_uuid()
    monkeypatch.setattr(time, "time_ns", lambda: before - 3_600_000_000_000)

    made = [ids.new_uuid() for _ in range(1_000)]

    assert {ids.created_at(each) for each in made} == {
        datetime.fromtimestamp((before // 1_000_000 - 3_600_000) / 1_000, tz=UTC)
    }
    assert {(each.version, each.variant) for each in made} == {(7, "specified in RFC 4122")}
    assert len(set(made)) == len(made)
