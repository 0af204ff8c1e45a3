import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bench import load, ratios, report
from bench.counters import Counter, Counters
from bench.events import pbx_serial
from bench.fairness import of_crowd, of_flood
from bench.results import Sent
from bench.scenarios import SCENARIOS, Kind
from support.bench_figures import figures, received, sent

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
LATE = 6_000  # milliseconds: more than the delivery timeout


class Service:
    """Accepts every event, and keeps whose it was."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
                self.events.append(json.loads(await reader.readexactly(length)))
                writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            writer.close()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await server.wait_closed()


def test_crowd_hung_and_paused_watch_the_same_half() -> None:
    crowd, hung, paused = (BY_NAME[name] for name in ("crowd", "hung", "paused"))

    assert crowd.others == hung.others == paused.others
    assert {*crowd.others, *crowd.trouble} == set(range(1_000))
    assert len(crowd.others) == len(crowd.trouble) == 500


@pytest.mark.parametrize("seconds", [0.5, 0.7, 3.3])
def test_short_runs_leave_half_of_a_crowd_and_somebody_beside_a_flood(seconds: float) -> None:
    for scenario in SCENARIOS:
        short = scenario.for_a_run_of(seconds)
        if scenario.kind is Kind.CROWD:
            assert len(short.others) == len(short.trouble) > 0
        if scenario.kind is Kind.FLOOD:
            assert (len(short.trouble), short.others[0], len(short.others) > 0) == (1, 1, True)


def test_hung_ends_before_the_usual_rules_pause_anything() -> None:
    assert [BY_NAME["hung"].measured_for(each) for each in (1.0, 10.0, 600.0)] == [2.0, 20.0, 30.0]


def test_of_those_that_hang_nothing_is_awaited() -> None:
    sending = sent((0, 10), (0, 10), (10, 20), (10, 20))
    found = of_crowd(sending, received((1, 15), (3, 40)), hang=True, paused=False)

    assert (found["accepted"], found["delivered"], found["missing"]) == (4, 2, 0)
    assert (found["others"]["accepted"], found["others"]["delivered"]) == (2, 2)
    assert found["others"]["latency_ms"] == {"p50": 20.0, "p99": 20.0, "p999": 20.0}
    assert found["others"]["delivered_per_s"] == 50.0


def test_where_nobody_hangs_all_are_awaited_and_half_is_watched() -> None:
    sending = sent((0, 10), (0, 10), (10, 20), (10, 20))
    found = of_crowd(sending, received((0, 15), (1, 15), (3, 40)), hang=False, paused=False)

    assert (found["delivered"], found["missing"]) == (3, 1)
    assert (found["others"]["accepted"], found["others"]["delivered"]) == (2, 2)
    assert "slices" not in found


def test_what_was_sent_before_the_first_timeouts_is_told_from_what_was_sent_after() -> None:
    sending = sent((0, 10), (0, 10), (20, 30), (20, 30), (LATE, LATE + 10), (LATE, LATE + 10))
    arrived = received((1, 5_010), (3, 5_030), (5, LATE + 12))
    found = of_crowd(sending, arrived, hang=True, paused=False)

    before, after = (found["slices"][f"{when}_timeouts"] for when in ("before", "after"))
    assert (before["accepted"], before["latency_ms"]["p50"]) == (2, 5_000.0)
    assert (after["accepted"], after["latency_ms"]["p99"]) == (1, 2.0)
    assert after["delivered_per_s"] == pytest.approx(1_000 / 12, abs=0.1)


def test_a_slice_without_events_is_left_out() -> None:
    sending, arrived = sent((0, 10), (0, 10)), received((1, 15))

    assert set(of_crowd(sending, arrived, hang=True, paused=False)["slices"]) == {"before_timeouts"}
    assert "slices" not in of_crowd(sending, arrived, hang=True, paused=True)


def test_the_flooded_one_counts_among_the_whole_and_not_among_the_others() -> None:
    arrived = received((0, 12), (10, 14), (20, 18), (30, 500), (31, 900))
    found = of_flood(
        arrived,
        alone=sent((0, 10), first=0),
        beside=sent((0, 10), first=10),
        others=sent((0, 10), first=20),
        flooding=sent((0, 10), (0, 10), (0, 10), first=30),
    )

    assert (found["accepted"], found["delivered"], found["missing"]) == (4, 3, 0)
    assert found["flood_share"] == 0.75
    assert found["others"]["latency_ms"]["p99"] == 8.0
    assert found["of_alone"] == {"throughput": 0.667, "p99": 4.0, "end_to_end_p99": 1.5}
    assert found["of_spread"]["p99"] == 2.0
    assert report.remarks(figures(**found)) == ["75% of the events were the flood's."]


def test_nothing_is_divided_by_nothing() -> None:
    base = figures(delivered_per_s=0.0, latency_ms=None, end_to_end_ms={"p99": 0.0})

    assert ratios.ratios(figures(), base) == {
        "throughput": None,
        "p99": None,
        "end_to_end_p99": None,
    }


def test_a_scenario_stands_beside_the_one_it_is_measured_by_when_both_ran() -> None:
    watched = figures(delivered_per_s=50.0)
    hung = figures(others=watched, slices={"before_timeouts": figures(delivered_per_s=25.0)})
    measured = {"crowd": figures(others=figures(delivered_per_s=100.0)), "hung": hung}
    measured["backlog"] = figures()

    ratios.relate(measured)

    assert hung["of_crowd"]["throughput"] == 0.5
    assert hung["slices"]["before_timeouts"]["of_crowd"]["throughput"] == 0.25
    assert "of_single" not in measured["backlog"]


def test_the_table_has_a_row_for_whatever_is_compared() -> None:
    flood = figures(others=figures(), alone=figures(), spread=figures())
    flood |= {"of_alone": ratios.ratios(flood, flood), "of_spread": ratios.ratios(flood, flood)}
    hung = figures(others=figures(), slices={"before_timeouts": figures()})
    measured = {"single": figures(), "crowd": figures(others=figures()), "hung": hung}
    ratios.relate(measured | {"flood": flood})

    rows = ratios.rows(measured | {"flood": flood})

    assert [(row[0], row[6]) for row in rows] == [
        ("crowd", "–"),
        ("hung", "crowd"),
        ("hung, before timeouts", "crowd"),
        ("flood, alone", "–"),
        ("flood, spread", "–"),
        ("flood", "alone"),
        ("flood", "spread"),
    ]
    assert {len(row) for row in rows} == {len(ratios.COLUMNS)}
    assert rows[1][7:] == ("100%", "1.00 ×", "1.00 ×")


async def test_loads_go_side_by_side_each_from_its_own_pbxs(
    service: Service, tmp_path: Path
) -> None:
    counters = Counters.make(tmp_path / "counters")
    common = {"port": service.port, "key": "hk_x", "counters": str(tmp_path / "counters")}
    others = {"first": 0, "count": 40, "rate": 4_000.0, "pbxs": (1, 6, 2)}
    flooding = {"first": 1_000, "count": 60, "pbxs": (0, 1, 1)}
    orders = [
        common | order | {"out": str(tmp_path / f"sent-{index}")}
        for index, order in enumerate((others, flooding))
    ]

    reports = (await load._run(orders))["reports"]

    assert [each["accepted"] for each in reports] == [40, 60]
    assert counters.view[Counter.ACCEPTED] == 100
    by_pbx = {name: [e for e in service.events if e["pbx"] == name] for name in serials(0, 1, 3, 5)}
    assert [len(events) for events in by_pbx.values()] == [60, 14, 13, 13]
    assert {int(event["id"]) for event in by_pbx[serials(0)[0]]} == set(range(1_000, 1_060))
    read = Sent.read(tmp_path / "sent-0", 0, reports[0])
    assert len(read.sent) == 40
    assert all(read.accepted)


def serials(*indexes: int) -> list[str]:
    return [pbx_serial(index).decode() for index in indexes]
