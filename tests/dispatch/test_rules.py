from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from hookline.dispatch import rules as dispatch_rules
from hookline.dispatch.rules import IntegrationRules, LaneAssignment
from hookline.domain.access import Tenant
from support.service import eventually
from support.sink_script import Book, a_subscription

if TYPE_CHECKING:
    from hookline.dispatch.circuit_breaker import HealthMonitor
    from hookline.integrations.subscriptions import Subscriptions

ENGINES = range(10)


class Records(Book):
    """Integrations, whose they are, and which of them are paused."""

    paused: frozenset[str] = frozenset()

    def owner_of(self, _integration_id: str) -> Tenant:
        return Tenant("1001", None)

    def is_paused(self, integration_id: str) -> bool:
        return integration_id in self.paused


def rules_from(records: Records, assignment: LaneAssignment | None = None) -> IntegrationRules:
    return IntegrationRules(
        cast("Subscriptions", records),
        cast("HealthMonitor", records),
        most_held=100,
        most_bytes=100_000,
        assignment=assignment,
    )


async def test_a_changed_integration_changes_its_lane_at_once() -> None:
    records = Records()
    rules = rules_from(records)
    rules.engines_counted(1, [1])
    lanes = rules.lanes
    assert not lanes.is_ordered("crm")
    assert lanes.reserve("crm", 1) is False, "it is to be taken over first"
    before = a_subscription("crm")
    records.change("crm", ordered=True)
    rules.integration_changed(before, replace(before, ordered=True))
    assert lanes.is_ordered("crm")
    records.struck_out.add("crm")
    rules.integration_changed(before, None)
    assert not lanes.is_ordered("crm"), "what is left of it ends in any order"


async def test_engines_that_come_and_go_move_lanes_at_once() -> None:
    rules = rules_from(Records())
    names = [f"int{number:03}" for number in range(50)]
    rules.engines_counted(1, [1])
    assert not any(map(rules.lanes.is_elsewhere, names))
    rules.engines_counted(1, [1, 2])
    assert 5 < sum(map(rules.lanes.is_elsewhere, names)) < 45
    rules.engines_counted(1, [1])
    assert not any(map(rules.lanes.is_elsewhere, names))


async def test_a_new_engine_gets_its_lanes_once_the_others_had_time_to_release_them() -> None:
    now = 0.0
    rules = rules_from(Records(), LaneAssignment(lambda: now))
    assert not rules.lanes.is_elsewhere("crm"), "alone until others are counted"
    rules.engines_counted(1, ENGINES)
    names = [f"int{number:03}" for number in range(100)]
    assert all(map(rules.lanes.is_elsewhere, names))
    now = dispatch_rules._JOINING

    async def elsewhere() -> int:
        return sum(map(rules.lanes.is_elsewhere, names))

    await eventually(elsewhere, lambda count: 0 < count < len(names))


@pytest.mark.parametrize("looks", range(8))
async def test_a_new_engine_gets_its_lanes_whenever_its_waiting_ends(looks: int) -> None:
    """The wait is over after so many looks at the clock, whatever they were for."""
    times = iter([0.0, *[dispatch_rules._JOINING - 0.01] * looks])
    rules = rules_from(Records(), LaneAssignment(lambda: next(times, dispatch_rules._JOINING)))
    names = [f"int{number:03}" for number in range(3)]
    assert not any(map(rules.lanes.is_elsewhere, names))
    rules.engines_counted(max(ENGINES), [max(ENGINES), max(ENGINES) + 1])

    async def elsewhere() -> int:
        return sum(map(rules.lanes.is_elsewhere, names))

    alone = rules_from(Records(), LaneAssignment(lambda: 0.0))
    alone.engines_counted(max(ENGINES), [max(ENGINES)])
    alone.engines_counted(max(ENGINES), [max(ENGINES), max(ENGINES) + 1])
    expected = sum(map(alone.lanes.is_elsewhere, names))
    assert expected < len(names)
    await eventually(elsewhere, lambda count: count == expected)
