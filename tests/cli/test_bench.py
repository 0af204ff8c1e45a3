import asyncio
import hmac
import json
import re
import shutil
import signal
import ssl
import subprocess
import sys
from array import array
from hashlib import sha256
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psutil
import pytest

import hookline
from bench import certificates, chart, report
from bench.counters import Counter, Counters
from bench.events import DIGITS, NUMBER_AT, Template, pbx_serial
from bench.layout import Layout, spread
from bench.receiver import (
    QueueConnection,
    ReceivedStatistics,
    Receiver,
    WebhookConnection,
    WorkerPool,
)
from bench.results import Receipts, Sent, Spent, checks, costs, of_drain, of_flow
from bench.scenarios import SCENARIOS
from hookline.domain.events import Limits, parse_event
from support.bench_figures import MILLISECOND, figures, received, sent
from support.terminal import Terminal

SECRET = b"abcdefghijABCDEFGHIJ012345678901"
INTEGRATION = "s95eum"


class Transport(asyncio.WriteTransport):
    """Keeps what is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)


@pytest.fixture
def statistics(tmp_path: Path) -> ReceivedStatistics:
    made = ReceivedStatistics(Counters.make(tmp_path / "counters"))
    made.secrets = {INTEGRATION.encode(): SECRET}
    return made


def body(number: int) -> bytes:
    event = parse_event(Template().event(number, pbx_serial(0)), Limits())
    return event.body_for(INTEGRATION)


def delivery(number: int, secret: bytes = SECRET) -> bytes:
    copy = body(number)
    signature = hmac.digest(secret, copy, sha256).hex()
    head = (
        f"POST /hooks/0 HTTP/1.1\r\nHost: receiver\r\nx-signature: {signature}\r\n"
        f"webhook-id: 00000000-0000-7000-8000-{number:012}\r\nContent-Length: {len(copy)}\r\n\r\n"
    )
    return head.encode() + copy


def connected(statistics: ReceivedStatistics) -> tuple[WebhookConnection, Transport]:
    connection, transport = WebhookConnection(statistics), Transport()
    connection.connection_made(transport)
    return connection, transport


def runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)  # ended; only not yet reaped
    except psutil.NoSuchProcess:
        return False


def test_events_differ_are_canonical_and_carry_their_number_at_a_fixed_place() -> None:
    template = Template()
    events = [template.event(number, pbx_serial(3)) for number in (7, 123_456)]

    assert [parse_event(event, Limits()).payload for event in events] == events
    assert [int(event[NUMBER_AT : NUMBER_AT + DIGITS]) for event in events] == [7, 123_456]
    assert {parse_event(event, Limits()).pbx for event in events} == {"000000000004"}
    assert all(len(event) == 1_400 for event in events)


def test_the_receiver_cuts_requests_out_of_whatever_pieces_they_come_in(
    statistics: ReceivedStatistics,
) -> None:
    connection, transport = connected(statistics)
    stream = b"".join(map(delivery, range(5)))

    for start in range(0, len(stream), 700):
        connection.data_received(stream[start : start + 700])

    assert list(statistics.numbers) == [0, 1, 2, 3, 4]
    assert transport.written.count(b"HTTP/1.1 200 OK") == 5


def test_a_receiver_that_closes_says_so_and_answers_nothing_after_it(
    statistics: ReceivedStatistics,
) -> None:
    connection, transport = WebhookConnection(statistics, close=True), Transport()
    connection.connection_made(transport)

    connection.data_received(delivery(1))

    assert b"connection: close" in transport.written
    assert transport.closed
    assert statistics.connections == 1


async def test_the_receiver_speaks_tls_with_what_was_made_for_its_address(tmp_path: Path) -> None:
    trusted, shown = certificates.make(tmp_path, "127.0.0.1")
    receiver = Receiver()
    Counters.make(tmp_path / "counters")
    opened = await receiver.listen(
        counters=str(tmp_path / "counters"), webhooks=2, tls=str(shown), delays=(0.0, 0.01)
    )
    client = ssl.create_default_context(cafile=str(trusted))
    for port in opened["webhooks"]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        writer.write(delivery(port))
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.transport.abort()
    counted = await receiver.write(path=str(tmp_path / "received"))
    for server in receiver.servers:
        server.close()
    assert (counted["different"], counted["connections"]) == (2, 2)


def test_the_receiver_sees_a_delivery_that_comes_twice(
    statistics: ReceivedStatistics, tmp_path: Path
) -> None:
    connection, _ = connected(statistics)

    connection.data_received(delivery(1) + delivery(2) + delivery(1))

    assert (statistics.duplicates, list(statistics.numbers)) == (1, [1, 2])
    assert Counters(tmp_path / "counters").view[Counter.RECEIVED] == 2


@pytest.mark.parametrize(("secret", "wrong"), [(SECRET, 0), (b"another secret", 2)])
def test_the_receiver_checks_one_signature_in_a_hundred(
    statistics: ReceivedStatistics, secret: bytes, wrong: int
) -> None:
    connection, _ = connected(statistics)

    connection.data_received(b"".join(delivery(number, secret) for number in range(200)))

    assert (statistics.checked, statistics.wrong) == (2, wrong)


def test_the_queue_takes_each_message_of_a_batch(statistics: ReceivedStatistics) -> None:
    entries = [{"Id": str(i), "MessageBody": body(i).decode()} for i in range(10)]
    request = json.dumps({"QueueUrl": "https://queue.example/1/q", "Entries": entries}).encode()
    connection, transport = QueueConnection(statistics), Transport()
    connection.connection_made(transport)

    connection.data_received(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(request))
    connection.data_received(request)

    answer = json.loads(transport.written.partition(b"\r\n\r\n")[2])
    assert [each["Id"] for each in answer["Successful"]] == [str(i) for i in range(10)]
    assert list(statistics.numbers) == list(range(10))


def test_rates_and_lag_are_over_the_whole_phase_and_latency_is_from_the_acceptance() -> None:
    found = of_flow(
        sent((0, 10), (0, 20), (0, 0), (900, 1_000), first=5),
        received((4, 1), (5, 30), (6, 15), (8, 2_000)),
        fanout=1,
    )

    assert (found["accepted"], found["delivered"], found["missing"]) == (3, 3, 0)
    assert (found["accepted_per_s"], found["delivered_per_s"]) == (3.0, 1.5)
    assert found["lag_s"] == 1.0
    assert found["latency_ms"] == {"p50": 20.0, "p99": 1_000.0, "p999": 1_000.0}
    assert found["end_to_end_ms"] == {"p50": 30.0, "p99": 1_100.0, "p999": 1_100.0}


def test_a_drain_counts_from_when_the_engine_was_at_work() -> None:
    found = of_drain(
        sent((0, 1), (0, 1), (0, 1)),
        received((0, 50), (1, 150), (2, 1_100)),
        began=100 * MILLISECOND,
    )

    assert (found["delivered"], found["delivered_per_s"], found["missing"]) == (2, 2.0, 0)


@pytest.mark.parametrize(("generator", "measures_it"), [(0.1, False), (0.4, True)])
def test_the_load_is_said_to_be_what_is_measured_above_a_fifth(
    generator: float,
    measures_it: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    cpu = {"service": 1.0, "postgres": 0.3, "receiver": 0.1, "generator": generator}
    found = costs(Spent(cpu, 0.1, 50, 4_000, 2.0), 1_000)

    assert found["cpu_us_per_delivery"]["total"] == pytest.approx(sum(cpu.values()) * 1e3)
    assert (found["round_trips_per_delivery"], found["wal_bytes_per_delivery"]) == (0.05, 4)
    assert found["measures_the_load"] is measures_it
    said = " ".join(report.remarks(figures(**found)))
    assert ("the figure measures them" in said) is measures_it


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"waited_for_processor": 0.25},
            "the service waited for its processor 25% of the time: other programs had it.",
        ),
        ({"missing": 3}, "3 deliveries did not arrive in time."),
        ({"duplicate_deliveries": 2}, "2 deliveries arrived more than once."),
        ({"signatures_wrong": 1}, "1 of 1 checked signatures were wrong."),
        ({"refused": 4, "refusal": "503"}, "4 events were not accepted: 503"),
        ({"settled": False}, "outcomes were still unwritten seconds after the last delivery."),
        ({"errors": ["a.fault (2 times)"]}, "the service logged errors: a.fault (2 times)."),
    ],
)
def test_whatever_spoils_a_figure_is_said_beside_it(change: dict[str, Any], sentence: str) -> None:
    assert report.remarks(figures()) == []
    assert report.remarks(figures(**change)) == [sentence]


def test_the_service_gets_its_processors_and_the_rest_share_the_others() -> None:
    assert spread([0], 1) == Layout()
    assert spread([0, 1], 2) == Layout()
    assert spread([0, 1], 1).cores == {
        "service": (0,),
        "postgres": (1,),
        "receiver": (1,),
        "generator": (1,),
    }
    assert spread([0, 1, 2, 3], 1).cores["postgres"] == (1, 2)
    assert str(spread([0, 1], 1)) == "service on 0, postgres on 1, receiver on 1, generator on 1"


def test_a_short_run_prepares_less_and_keeps_its_shape() -> None:
    for scenario in SCENARIOS:
        short = scenario.for_a_run_of(1.0)
        assert (short.fanout, short.batch) == (scenario.fanout, scenario.batch)
        assert short.waiting == scenario.waiting // 10
        assert scenario.for_a_run_of(60.0) == scenario


def test_the_chart_is_well_formed_and_names_each_scenario() -> None:
    machine = {"processors": 2, "processor": "A & B <x>", "at": "now", "layout": "anywhere"}

    drawn = chart.svg({"scenarios": {"single": figures(), "drain": figures()}, "machine": machine})

    texts = [each.text for each in ET.fromstring(drawn).iter() if each.text]  # noqa: S314 - our own
    assert {"single", "drain"} <= set(texts)
    assert any("A & B <x>" in text for text in texts)


def test_arrays_written_by_one_process_are_read_by_another(tmp_path: Path) -> None:
    file = tmp_path / "sent"
    file.write_bytes(array("q", [1, 2]).tobytes() + array("q", [3, 4]).tobytes())

    read = Sent.read(file, 7, {})

    assert (list(read.sent), list(read.accepted), read.first) == ([1, 2], [3, 4], 7)


async def test_an_unknown_scenario_is_named_with_those_there_are(terminal: Terminal) -> None:
    code, out, err = await terminal.run("bench", "marathon")

    assert (code, out) == (2, "")
    assert "marathon" in err
    assert "single" in err


def test_an_installed_package_says_where_the_benchmarks_are(tmp_path: Path) -> None:
    shutil.copytree(Path(hookline.__file__).parent, tmp_path / "hookline")

    run = subprocess.run(
        [sys.executable, "-m", "hookline", "bench", "single", "--seconds", "1"],
        cwd=tmp_path,  # what `-m` looks through first
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("hookline: The benchmarks are not part of the installed package")


async def test_a_scenario_runs_and_its_figures_are_whole(terminal: Terminal) -> None:
    file, drawing = terminal.directory / "figures.json", terminal.directory / "figures.svg"

    code, out, err = await terminal.run(
        "bench", "single", "--seconds", "0.5", "--json", str(file), "--svg", str(drawing)
    )

    assert (code, err) == (0, "")
    document = json.loads(file.read_text())
    single = document["scenarios"]["single"]
    assert single["accepted"] == single["delivered"] > 0
    assert (single["missing"], single["refused"], single["errors"]) == (0, 0, [])
    assert (single["duplicate_deliveries"], single["signatures_wrong"]) == (0, 0)
    assert set(single["cpu_us_per_delivery"]) == {
        *("service", "postgres", "receiver", "generator", "total"),
    }
    assert single["rss_mb"] > 0
    assert set(single["latency_ms"]) == {"p50", "p99", "p999"}
    assert re.search(r"^single\t", out, re.MULTILINE)
    assert drawing.read_text().startswith("<svg")


@pytest.mark.soak
@pytest.mark.parametrize("name", [scenario.name for scenario in SCENARIOS])
async def test_each_scenario_runs_for_a_moment(name: str, terminal: Terminal) -> None:
    file = terminal.directory / "figures.json"

    code, _, err = await terminal.run("bench", name, "--seconds", "0.5", "--json", str(file))

    assert (code, err) == (0, "")
    found = json.loads(file.read_text())["scenarios"][name]
    assert (found["missing"], found["refused"], found["errors"]) == (0, 0, [])
    assert found["delivered"] > 0


@pytest.mark.soak
async def test_ctrl_c_ends_every_process_of_the_benchmark(terminal: Terminal) -> None:
    bench = await terminal.start("bench", "single", "--seconds", "60")
    await bench.says("single: warming up")
    started = psutil.Process(bench.pid).children(recursive=True)

    await bench.stop(signal.SIGINT)

    assert len(started) > 3  # service, Postgres, receiver, generator
    assert [each for each in started if runs(each)] == []


def test_how_many_requests_an_origin_had_is_weighted_by_how_often(tmp_path: Path) -> None:
    statistics = ReceivedStatistics(Counters.make(tmp_path / "counters"))
    pool = WorkerPool(statistics, workers=2, seconds=0.5)
    assert all(pool.begin() >= 0.5 for _ in range(4))
    pool.end()
    pool.begin()
    found = {**received().report, "at_once": sorted(statistics.at_once.items())}
    assert checks(Receipts([], [], found))["at_once"] == {"p50": 3, "most": 4}
