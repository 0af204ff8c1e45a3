"""The abuse of `hookline bench abuse`, and how what it costs others is judged."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from bench import hostile, report
from bench.abuse import of_abuse, targets_of
from bench.attack import Attacker
from bench.scenarios import SCENARIOS, Kind, Scenario
from support.bench_figures import figures, received, sent

ABUSES = [each for each in SCENARIOS if each.kind is Kind.ABUSE]
KINDS = {
    *("events to a dead target", "expensive bodies", "bodies held back", "saves of dead names"),
    *("searches", "changes", "filters tried", "replays", "streams"),
}
REQUESTS = {
    *(b"POST /v1/events", b"POST /v1/events/batch"),
    *(b"PATCH /v1/integrations/abcdef", b"GET /v1/deliveries"),
    *(b"POST /v1/integrations/abcdef/replays", b"POST /v1/filters/try", b"GET /v1/stream"),
}


class Service:
    """Accepts every request; a large batch it refuses before its end."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: Counter[bytes] = Counter()
        self.changed = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
                held_back = length == 16 * 1024 * 1024
                await reader.readexactly(0 if held_back else length)
                status = b"429 Too Many Requests" if held_back else b"200 OK"
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\n{}" % status)
                self.requests[head.split()[0] + b" " + head.split()[1].partition(b"?")[0]] += 1
                self.changed.set()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionResetError):
            pass  # the client has gone, or sends on what was refused
        finally:
            writer.close()

    async def until(self, kinds: int) -> None:
        while len(self.requests) < kinds:
            self.changed.clear()
            await self.changed.wait()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0, limit=2**21)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


async def test_it_attacks_in_every_way_until_it_is_ended(service: Service) -> None:
    attacker = Attacker()
    names = {"ingest": "hk_i", "manager": "hk_m", "company": "it_abuse01", "pbxs": ["0" * 12]}
    await attacker.begin(port=service.port, integrations=["abcdef"], held=2, **names)
    async with asyncio.timeout(30):
        await service.until(kinds=len(REQUESTS))
    answers = (await attacker.end())["answers"]
    assert set(answers) <= KINDS
    assert set(service.requests) == REQUESTS
    assert set(answers.get("bodies held back", {"429": 1})) == {"429"}


async def test_where_its_receivers_are_the_attack_it_sends_them_events_alone(
    service: Service,
) -> None:
    attacker = Attacker()
    names = {"ingest": "hk_i", "manager": "hk_m", "company": "it_abuse01", "pbxs": ["0" * 12]}
    await attacker.begin(port=service.port, integrations=["abcdef"], hostile=True, **names)
    async with asyncio.timeout(30):
        await service.until(kinds=1)
    assert set((await attacker.end())["answers"]) <= {"events to hostile receivers"}
    assert set(service.requests) == {b"POST /v1/events"}


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("closes each connection", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close"),
        ("sends interim responses", b"HTTP/1.1 102 Processing\r\n\r\n" * 90 + b"HTTP/1.1 200"),
        ("drips", b"HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\nx"),
        ("never ends", b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100_000),
    ],
)
async def test_hostile_receivers_answer_each_in_their_way(kind: str, answer: bytes) -> None:
    server = await hostile.serve(kind)
    for _ in range(2):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n")
        writer.write(b"{ }")
        assert await reader.readexactly(len(answer)) == answer
        if kind == "closes each connection":
            assert await reader.read() == b"\r\n\r\n"
        writer.close()
    server.close()


def test_every_kind_of_hostile_receiver_is_sent_to() -> None:
    ports = list(range(len(hostile.ANSWERS)))
    [scenario] = [each for each in ABUSES if each.hostile_integrations]
    for seconds in (1.0, 10.0):
        short = scenario.for_a_run_of(seconds)
        assert set(targets_of(short, ports, dead=99)) == set(ports)


def test_what_it_costs_is_within_the_promises_or_not() -> None:
    alone, beside = sent((0, 10), (20, 30), (40, 50)), sent((0, 15), (20, 35), (40, 60), first=10)
    found = of_abuse(alone, beside, received((10, 16), (11, 40), (12, 70)), [3.0, 20.0], 200.0)
    assert found["requests_ms"]["beside"]["p50"] == 15.0
    assert [each["measured"] for each in found["verdicts"]] == [1.5, 0, 0, 30.0, 20.0, 200.0]
    assert all(each["holds"] for each in found["verdicts"])
    slow = sent((0, 25), (20, 45), (40, 70), first=10)
    lost = of_abuse(alone, slow, received((10, 1_600)), [3.0, 1_200.0], 900.0)
    assert [each["holds"] for each in lost["verdicts"]] == [False, True, *[False] * 4]


def test_each_promise_is_printed_with_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = [
        {"what": "held", "measured": 1.5, "most": 2.0, "holds": True},
        {"what": "broken", "measured": 3.0, "most": 2.0, "holds": False},
    ]
    measured = figures(verdicts=verdicts, attack={"searches": {"200": 7, "429": 1_000}})
    machine = {"seconds": 10, "load_average_before": [0.0], "processors": 2, "processor": "x"}
    around = machine | {"layout": "anywhere", "commit_to_disk_ms": 0.1}
    report.show({"scenarios": {"abuse": measured}, "machine": around})
    printed = capsys.readouterr().out
    assert "held\t1.5\t2\tpass\n" in printed
    assert "broken\t3\t2\tFAIL\n" in printed
    assert "searches were answered 7 × 200, 1,000 × 429." in printed


@pytest.mark.parametrize("scenario", ABUSES, ids=lambda each: each.name)
@pytest.mark.parametrize("seconds", [0.5, 3.0, 60.0])
def test_the_others_are_all_watched_however_short_the_run(
    scenario: Scenario, seconds: float
) -> None:
    short = scenario.for_a_run_of(seconds)
    assert len(short.others) == short.pbxs == 10
    assert 0 < len(targets_of(short, [1], dead=2)) <= 2_000
