"""Whatever a receiver does: the attempt ends in time, with the right kind and bounded reading."""

import asyncio
import gc
import socket
from pathlib import Path

import pytest

from hookline.domain.deliveries import ErrorKind, ResponseDefect, Verdict
from hookline.security.egress import connect
from hookline.security.egress.connect import Connection
from hookline.security.egress.errors import NotHttp
from hookline.security.egress.responses import ResponseParser
from hookline.security.egress.tls import client_tls
from hookline.sinks import Shipment
from sinks.contract import delivers, fails_as, sends_once
from support.certificates import Authority
from support.hostile import (
    PAUSE,
    bytes_of,
    dripping,
    endless,
    flooding,
    gzip_bomb,
    resetting_after,
    saying_nothing,
)
from support.receivers import (
    OK,
    Behaviour,
    Exchange,
    Receiver,
    answering,
    answering_then_closing,
    receiving,
    status,
)
from support.webhook_shipments import webhook_shipment, webhook_sink

SHORT = 0.3  # seconds for a whole attempt
LARGE = (Connection, ResponseParser, NotHttp)  # which hold, or whose tracebacks do, what came
MOST_TAKEN = 12_000_000  # bytes: what socket buffers on loopback swallow, far below a flood
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def to(receiver: Receiver) -> Shipment:
    return webhook_shipment(f"http://127.0.0.1:{receiver.port}/hook")


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(saying_nothing, id="says nothing"),
        pytest.param(dripping(b"HTTP/1.1 20", ()), id="owes the last digit of the status"),
        pytest.param(dripping(b"", bytes_of(b"HTTP" + b" " * 99)), id="drips the status line"),
        pytest.param(dripping(b"", endless(b"\r\n")), id="drips line ends"),
        pytest.param(
            dripping(b"HTTP/1.1 404 No\r\n", endless(b"a: b\r\n")), id="drips a failure's headers"
        ),
        pytest.param(dripping(b"", endless(b"HTTP/1.1 103 E\r\n\r\n")), id="drips interim answers"),
        pytest.param(
            dripping(b"HTTP/1.1 400 No\r\ncontent-length: 9999\r\n\r\n", endless(b"x")),
            id="drips the body of a failure",
        ),
        pytest.param(
            dripping(b"HTTP/1.1 500 No\r\ncontent-length: 9999\r\n\r\n", ()),
            id="owes the body of a failure",
        ),
    ],
)
async def test_the_whole_attempt_has_one_deadline(behaviour: Behaviour) -> None:
    async with receiving(behaviour) as receiver, webhook_sink(within=SHORT) as sink:
        await fails_as(sink, to(receiver), Verdict.RETRY, ErrorKind.TIMEOUT)
        await receiver.until(lambda r: r.open == 0)
        receiver.behaviour = answering(OK)
        await delivers(sink, to(receiver))


async def eat(server: socket.socket, size: int) -> None:
    """Take one connection, and so many bytes of it now and then."""
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(server)
    with connection:
        connection.settimeout(0)
        while True:
            await asyncio.sleep(PAUSE)
            if size and not await loop.sock_recv(connection, size):
                return


@pytest.mark.parametrize("size", [0, 1], ids=["never reads", "reads a byte now and then"])
async def test_a_receiver_that_does_not_take_the_body_runs_out_of_time(size: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        eating = asyncio.create_task(eat(server, size))
        async with webhook_sink(within=SHORT) as sink:
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
            shipment = webhook_shipment(url, body=b"x" * 16_000_000)
            await fails_as(sink, shipment, Verdict.RETRY, ErrorKind.TIMEOUT)
        eating.cancel()
        await asyncio.gather(eating, return_exceptions=True)


async def test_a_host_that_accepts_no_connection_runs_out_of_time() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.settimeout(0)
            second.connect_ex(address)  # the backlog is full now
            async with webhook_sink(within=SHORT) as sink:
                shipment = webhook_shipment(f"http://127.0.0.1:{address[1]}/")
                await fails_as(sink, shipment, Verdict.RETRY, ErrorKind.TIMEOUT)


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"HTTP/1.1 200", b""),
        (b"HTTP/1.1 200 ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (CHUNKED, b"1\r\nx\r\n"),
        (CHUNKED + b"1", b";a=b"),
        (CHUNKED + b"0\r\n", b"trailer: x\r\n"),
    ],
    ids=[
        "nothing",
        "the reason",
        "headers",
        "body",
        "body without end",
        "chunks",
        "chunk extensions",
        "trailers",
    ],
)
async def test_what_drips_after_a_success_cannot_undo_it(start: bytes, drop: bytes) -> None:
    behaviour = dripping(start, endless(drop) if drop else ())
    async with receiving(behaviour) as receiver, webhook_sink(within=SHORT) as sink:
        sent = await sends_once(sink, to(receiver))
        assert (sent.verdict, sent.status_code) == (Verdict.DELIVERED, 200)
        assert sent.response_defect is ResponseDefect.UNFINISHED
        await receiver.until(lambda r: r.open == 0)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\na: ", b"x" * 65_536),
        (b"HTTP/1.1 200 ", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2147483648\r\n\r\n", b"x" * 65_536),
        (CHUNKED, b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
        (CHUNKED, b"1\r\nx\r\n" * 1000),
        (CHUNKED + b"1", b";a=b" * 10_000),
        (CHUNKED + b"0\r\n", b"trailer: x\r\n" * 1000),
    ],
    ids=[
        "headers",
        "one header",
        "one reason",
        "endless",
        "2 GiB",
        "chunks",
        "tiny chunks",
        "chunk extensions",
        "trailers",
    ],
)
async def test_a_flood_after_a_success_is_cut_off(start: bytes, piece: bytes) -> None:
    async with receiving() as receiver, webhook_sink() as sink:
        receiver.behaviour = flooding(receiver, start, piece)
        sent = await sends_once(sink, to(receiver))
        assert sent.verdict is Verdict.DELIVERED
        await receiver.until(lambda r: r.open == 0)
        assert receiver.sent < MOST_TAKEN


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP", b" " * 65_536),
        (b"", b"\r\n" * 32_768),
        (b"HTTP/1.1 100 Continue\r\n", b"a: b\r\n" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
        (b"", b"\x00" * 65_536),
    ],
    ids=["spaces", "line ends", "interim headers", "100 Continue", "103", "zeros"],
)
async def test_a_flood_instead_of_an_answer_is_no_answer(start: bytes, piece: bytes) -> None:
    async with receiving() as receiver, webhook_sink() as sink:
        receiver.behaviour = flooding(receiver, start, piece)
        await fails_as(sink, to(receiver), Verdict.RETRY, ErrorKind.PROTOCOL)
        await receiver.until(lambda r: r.open == 0)
        assert receiver.sent < MOST_TAKEN


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(answering(b"\x00" * 65_536), id="no HTTP"),
        pytest.param(answering_then_closing(b""), id="closes"),
        pytest.param(answering_then_closing(b"HTTP/1.1 2"), id="closes in the status line"),
        pytest.param(answering_then_closing(b"HTTP/1.1 400 No\r\n"), id="closes in the head"),
        pytest.param(answering(b"HTTP/1.1 400 No\r\n" + b"a: b\r\n" * 20_000), id="a long head"),
        pytest.param(resetting_after(b"HTTP"), id="resets"),
        pytest.param(saying_nothing, id="says nothing"),
    ],
)
async def test_nothing_of_a_failed_attempt_is_left_to_the_garbage_collector(
    behaviour: Behaviour,
) -> None:
    """What is only collected with cycles may be a quarter megabyte for each attempt."""
    async with receiving(behaviour) as receiver, webhook_sink(within=SHORT) as sink:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                assert (await sends_once(sink, to(receiver))).verdict is not Verdict.DELIVERED
            await receiver.until(lambda r: r.open == 0)
            await asyncio.sleep(0)  # the loop lets go of what it called last
            left = [each for each in gc.get_objects() if isinstance(each, LARGE)]
        finally:
            gc.enable()
        assert left == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"<html>Hello</html>", id="not HTTP"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x0a", id="a TLS alert"),
        pytest.param(b"HTTP/1.1 099 OK\r\n\r\n", id="a status that is none"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="a status that is no number"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", id="a status of four digits"),
        pytest.param(b"HTTP/1.1200 OK\r\n\r\n", id="no space before the status"),
        pytest.param(b"200 OK\r\n\r\n", id="a status and nothing else"),
        pytest.param(b"<p>Error</p>\nHTTP/1.1 200 OK\r\n\r\n", id="a line before the status"),
    ],
)
async def test_what_is_not_http_is_a_protocol_error(answer: bytes) -> None:
    async with receiving(answering(answer)) as receiver, webhook_sink() as sink:
        await fails_as(sink, to(receiver), Verdict.RETRY, ErrorKind.PROTOCOL)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
        (b"HTTP/1.1 200 OK\r\n\r\nno length", b"no length"),
        (b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", b"short"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more", b"ok"),
        (OK + b"\x00\xff garbage", b"ok"),
        (OK + status(410), b"ok"),
        (CHUNKED + b"2\r\nok\r\nZZ\r\n", b"ok"),
        (CHUNKED + b"garbage", b""),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\nabc", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nlink: x\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 200 \xff\xfe\r\ncontent-length: 2\r\nx-a: \xff\xfe\r\n\r\nok", b"ok"),
        (status(200, body=b"\xff\x00\x1b[31m\xc3"), b"\xff\x00\x1b[31m\xc3"),
    ],
)
async def test_a_success_stands_whatever_comes_with_it(answer: bytes, kept: bytes) -> None:
    async with receiving(answering_then_closing(answer)) as receiver, webhook_sink() as sink:
        sent = await delivers(sink, to(receiver))
    assert sent.response == kept


async def test_a_gzip_bomb_stays_compressed() -> None:
    bomb = gzip_bomb()
    answer = status(200, "content-encoding: gzip", body=bomb)
    async with receiving(answering(answer)) as receiver, webhook_sink() as sink:
        sent = await delivers(sink, to(receiver))
    assert sent.response == bomb[:4096]


async def test_an_upgrade_that_nobody_asked_for_is_a_status_like_any_other() -> None:
    answer = b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n\x81\x00"
    async with receiving(answering(answer)) as receiver, webhook_sink() as sink:
        sent = await fails_as(sink, to(receiver), Verdict.REJECTED, ErrorKind.STATUS)
        await receiver.until(lambda r: r.open == 0)
    assert sent.status_code == 101


@pytest.mark.parametrize("start", [b"", b"HTTP", b"HTTP/1.1 20", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_reset_before_the_status_is_a_reset(start: bytes) -> None:
    async with receiving(resetting_after(start)) as receiver, webhook_sink() as sink:
        await fails_as(sink, to(receiver), Verdict.RETRY, ErrorKind.RESET)
    assert len(receiver.requests) == 1


async def test_a_connection_closed_without_an_answer_is_a_reset() -> None:
    async with receiving(answering_then_closing(b"")) as receiver, webhook_sink() as sink:
        await fails_as(sink, to(receiver), Verdict.RETRY, ErrorKind.RESET)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(200, Verdict.DELIVERED), (500, Verdict.RETRY), (404, Verdict.REJECTED), (410, Verdict.GONE)],
)
async def test_a_reset_after_the_status_leaves_it(code: int, verdict: Verdict) -> None:
    for rest in (b"", b" Whatever\r\ncontent-le", b"\r\ncontent-length: 100\r\n\r\nhalf"):
        behaviour = resetting_after(b"HTTP/1.1 %d" % code + rest)
        async with receiving(behaviour) as receiver, webhook_sink() as sink:
            sent = await sends_once(sink, to(receiver))
        assert (sent.verdict, sent.status_code) == (verdict, code)
        assert sent.response == (b"half" if rest.endswith(b"half") else b"")
        assert sent.response_defect is ResponseDefect.TRUNCATED


DROPS = 500  # bytes of a body, one at a time
MOST_READS = 60  # 8, and one for each quarter of the time that has passed: 57 in a minute


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("drops", [b"x", b"1\r\nx\r\n"], ids=["sized", "chunked"])
async def test_what_drips_is_read_more_and_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    secure: bool,
    drops: bytes,
) -> None:
    reads: list[int] = []
    take = Connection.data_received

    def counted(connection: Connection, data: bytes) -> None:
        reads.append(len(data))
        take(connection, data)

    monkeypatch.setattr(Connection, "data_received", counted)
    authority = Authority(tmp_path)
    length = b"content-length: %d" % DROPS if drops == b"x" else b"transfer-encoding: chunked"

    async def drip(exchange: Exchange) -> None:
        await exchange.say(b"HTTP/1.1 404 No\r\n%b\r\n\r\n" % length)
        for _ in range(DROPS):
            await exchange.say(drops)
            await asyncio.sleep(0.001)
        if drops != b"x":
            await exchange.say(b"0\r\n\r\n")

    async with (
        receiving(drip, tls=authority.server("127.0.0.1") if secure else None) as receiver,
        webhook_sink(within=60, tls=client_tls(authority.file)) as sink,
    ):
        scheme = "https" if secure else "http"
        shipment = webhook_shipment(f"{scheme}://127.0.0.1:{receiver.port}/hook")
        sent = await fails_as(sink, shipment, Verdict.REJECTED, ErrorKind.STATUS)
        receiver.behaviour = answering(OK)
        await delivers(sink, shipment)
    assert sent.response == b"x" * DROPS
    assert len(reads) < MOST_READS
    assert receiver.connections == 1, "it serves again"


async def test_what_an_attempt_takes_beyond_a_usual_one_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connect, "thread_time", lambda: 0.0)
    authority = Authority(tmp_path)
    async with (
        receiving() as kept,
        receiving(answering_then_closing(OK)) as closing,
        receiving(tls=authority.server("127.0.0.1")) as secure,
        webhook_sink(tls=client_tls(authority.file)) as sink,
    ):
        assert (await delivers(sink, to(kept))).spent == 0
        opened = await delivers(sink, to(closing))
        verified = await sends_once(sink, webhook_shipment(f"https://127.0.0.1:{secure.port}/hook"))
        refused = await fails_as(sink, to(secure), Verdict.RETRY, ErrorKind.RESET)
    assert 0 < opened.spent < verified.spent
    assert refused.spent == opened.spent
