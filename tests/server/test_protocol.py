"""One connection of the server on a real socket: requests in odd framing, and their answers."""

import asyncio
import gc
import json

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from hookline.server import protocol
from hookline.server.connections import ConnectionLimits
from support.raw_server import (
    BRIEFLY,
    SOON,
    WAITS,
    Dial,
    everything,
    refused_in_time,
    serving,
    status,
)

pytestmark = pytest.mark.usefixtures("impatient")


def posted(body: bytes, *more: bytes, version: bytes = b"1.1") -> bytes:
    lines = (b"host: a", b"content-length: %d" % len(body), *more)
    return b"POST /accept HTTP/%b\r\n%b\r\n\r\n%b" % (version, b"\r\n".join(lines), body)


async def answers(dial: Dial, *parts: bytes) -> list[tuple[bytes, dict[bytes, bytes], bytes]]:
    """Send these bytes one after another; return the status, headers and body of each answer."""
    reader, writer = await dial()
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)
    found = []
    heads = (await everything(reader)).split(b"HTTP/1.1 ")[1:]
    for one in heads:
        head, _, body = one.partition(b"\r\n\r\n")
        status_line, *lines = head.split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines)
        found.append((status_line, headers, body))
    return found


LAST = b"connection: close"


async def test_many_in_one_segment_are_answered_in_order() -> None:
    many = [posted(b"x" * size) for size in range(20)]
    async with serving() as dial:
        found = await answers(dial, b"".join(many) + posted(b"", LAST))
    assert [body for _, _, body in found] == [b'{"got":%d}' % n for n in [*range(20), 0]]


@pytest.mark.parametrize("segments", [1, 100])
async def test_of_thousands_that_are_pipelined_few_are_made_before_their_turn(
    segments: int,
) -> None:
    began, may_answer = asyncio.Event(), asyncio.Event()
    WAITS.append((began, may_answer))
    many = b"".join(posted(b"x" * (size % 90)) for size in range(3_000)) + posted(b"", LAST)
    size = len(many) // segments + 1
    async with serving() as dial:
        reader, writer = await dial()
        writer.write(b"POST /waiting HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        for at in range(0, len(many), size):
            writer.write(many[at : at + size])
            await asyncio.sleep(0)
        await began.wait()
        assert await status(dial) == b"HTTP/1.1 200 OK"
        cycles = [each for each in gc.get_objects() if isinstance(each, RequestResponseCycle)]
        assert len(cycles) <= 40
        may_answer.set()
        found = (await everything(reader)).split(b"HTTP/1.1 ")[1:]
    assert found[0].endswith(b"at last")
    bodies = [each.partition(b"\r\n\r\n")[2] for each in found[1:]]
    assert bodies == [b'{"got":%d}' % (size % 90) for size in range(3_000)] + [b'{"got":0}']


async def test_what_is_pipelined_is_no_idle_connection() -> None:
    """The time that a connection may be idle for does not run while the next one is answered."""
    late = b"GET /late HTTP/1.1\r\nhost: a\r\n%b\r\n"
    async with serving() as dial:
        found = await answers(dial, posted(b"{}") + late % b"" + late % (LAST + b"\r\n"))
    assert [body for _, _, body in found] == [b'{"got":2}', b"late", b"late"]


async def test_what_is_answered_is_freed_without_the_garbage_collector() -> None:
    """Rings of objects, thousands a second, would stop everything for 40 ms every second."""
    many = posted(b"{}") * 50
    async with serving() as dial:
        await answers(dial, posted(b"", LAST))
        gc.collect()
        gc.disable()
        try:
            assert len(await answers(dial, many + posted(b"", LAST))) == 51
            left = sum(isinstance(each, RequestResponseCycle) for each in gc.get_objects())
        finally:
            gc.enable()
    assert left <= 2, "the last one of each connection"


async def test_a_body_in_parts_is_waited_for() -> None:
    head, _, body = posted(b"x" * 50, LAST).partition(b"\r\n\r\n")
    async with serving() as dial:
        [found] = await answers(dial, head + b"\r\n\r\n", body[:20], body[20:])
    assert found[2] == b'{"got":50}'


async def test_a_body_that_is_there_has_the_same_bound() -> None:
    chunked = b"POST /accept HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (101, b"x" * 101)
    async with serving() as dial:
        refused = await answers(dial, posted(b"x" * 101, LAST))
        found = await answers(dial, chunked + chunks)
    assert [one[0][:3] for one in (*refused, *found)] == [b"413", b"413"]


async def test_who_asks_first_whether_to_continue_is_told_so() -> None:
    head, _, body = posted(b"x" * 50, LAST, b"expect: 100-continue").partition(b"\r\n\r\n")
    async with serving() as dial:
        reader, writer = await dial()
        writer.write(head + b"\r\n\r\n")
        async with asyncio.timeout(SOON):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await everything(reader)).endswith(b'{"got":50}')


async def test_an_old_caller_is_answered_and_left() -> None:
    async with serving() as dial:
        [found] = await answers(dial, posted(b"{}", version=b"1.0"))
    assert (found[0], found[2]) == (b"202 Accepted", b'{"got":2}')


def offering(body: bytes, upgrade: bytes) -> bytes:
    offers = (b"connection: Upgrade, HTTP2-Settings", b"upgrade: " + upgrade, b"http2-settings: AA")
    return posted(body, *offers)


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"TLS/1.0"])
@pytest.mark.parametrize("size", [0, 50])
async def test_an_offer_to_upgrade_is_ignored_and_the_body_belongs_to_the_request(
    upgrade: bytes, size: int
) -> None:
    offered = offering(b"x" * size, upgrade)
    head, _, body = offered.partition(b"\r\n\r\n")
    async with serving() as dial:
        together = await answers(dial, offered + offered + posted(b"", LAST))
        apart = await answers(dial, head[:60], head[60:], b"\r\n\r\n" + body[:9], body[9:])
    wanted = b'{"got":%d}' % size
    assert [body for _, _, body in together] == [wanted, wanted, b'{"got":0}']
    assert [body for _, _, body in apart] == [wanted]


async def test_an_early_answer_is_read_by_a_client_that_is_still_sending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for bound in ("LINGER_SECONDS", "LONGEST_LINGER"):
        monkeypatch.setattr(protocol, bound, SOON)
    async with serving() as dial:
        reader, writer = await dial()
        writer.write(b"POST /accept HTTP/1.1\r\nhost: a\r\ncontent-length: 30000000\r\n\r\n")
        for _ in range(30):  # what a client sends that looks for an answer only afterwards
            writer.write(b"x" * 1_000_000)
            await writer.drain()
        answered = await everything(reader)
    assert answered.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answered
    assert answered.endswith(b"}")


async def test_a_connection_ends_soon_after_an_early_answer() -> None:
    async with serving(ConnectionLimits(4, keep_alive=60.0)) as dial:
        reader, writer = await dial()
        writer.write(b"POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n")
        assert (await everything(reader)).endswith(b"\r\n\r\nno")
        assert await refused_in_time(writer, b"a") > 0


def kept() -> int:
    """Return how many bytes of bodies are kept for requests."""
    cycles = [each for each in gc.get_objects() if isinstance(each, RequestResponseCycle)]
    return sum(len(each.body) for each in cycles)


async def test_little_of_a_body_is_kept_for_a_request_that_waits_and_none_of_it_afterwards() -> (
    None
):
    began, may_answer = asyncio.Event(), asyncio.Event()
    WAITS.append((began, may_answer))
    async with serving() as dial:
        reader, writer = await dial()
        head = b"POST /waiting HTTP/1.1\r\nhost: a\r\ncontent-length: 900000\r\n\r\n"
        writer.write(head + b"x" * 800_000)
        await began.wait()
        assert await status(dial) == b"HTTP/1.1 200 OK"
        assert 0 < kept() <= 16 * 1024
        may_answer.set()
        assert b"at last" in await reader.readuntil(b"at last")
        assert kept() == 0


async def test_more_headers_than_anybody_sends_are_refused() -> None:
    async with serving() as dial:
        few = await answers(dial, posted(b"{}", LAST, *[b"a: b"] * 120))
        many = await answers(dial, posted(b"{}", LAST, *[b"a: b"] * 129))
        unended = await answers(dial, b"POST / HTTP/1.1\r\n" + b"a:\r\n" * 4_000)
        heads = [each for each in gc.get_objects() if isinstance(each, protocol.Connection)]
        assert max(len(each.headers or ()) for each in heads) <= 128, "what was refused is kept"
    assert [each[0][:3] for each in few + many + unended] == [b"202", b"431", b"431"]


async def test_a_request_is_answered_whatever_follows_it() -> None:
    async with serving() as dial:
        [found] = await answers(dial, posted(b"{}") + b"\x00 this is no request\r\n\r\n")
    assert (found[0], found[1][b"connection"]) == (b"202 Accepted", b"close")


async def test_a_client_that_sends_no_more_is_answered() -> None:
    async with serving() as dial:
        reader, writer = await dial()
        writer.write(posted(b"{}"))
        writer.write_eof()
        assert b"202 Accepted" in await everything(reader)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        (posted(b"{}", b"content-length: 2"), b"400"),
        (posted(b"{}", b"transfer-encoding: chunked"), b"400"),
        (b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", b"405"),
        (posted(b"{", LAST)[:-1], b"408"),
    ],
)
async def test_what_is_no_request_is_answered_by_a_problem(
    sent: bytes, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "BODY_SECONDS", BRIEFLY)
    async with serving() as dial:
        [(line, headers, body)] = await answers(dial, sent)
    assert line.startswith(status)
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"connection"] == b"close"
    assert json.loads(body)["status"] == int(status)


@pytest.mark.parametrize("target", [b"/whence?a=1", b"http://a/whence?a=1", b"HTTP://a:80/whence"])
async def test_an_absolute_target_is_its_path(target: bytes) -> None:
    async with serving() as dial:
        [found] = await answers(dial, b"GET %b HTTP/1.1\r\nHOST: a\r\n%b\r\n\r\n" % (target, LAST))
    assert found[0] == b"200 OK"
