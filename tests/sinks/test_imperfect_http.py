"""A status that can be read decides, however broken the HTTP behind it; the log says what was."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.domain.deliveries import ErrorKind, ResponseDefect, Sent, Verdict
from hookline.security.egress.errors import NotHttp
from hookline.security.egress.responses import MAX_INTERIM, Received, ResponseParser
from sinks.contract import sends_once
from support.receivers import (
    OK,
    Behaviour,
    Exchange,
    answering,
    answering_then_closing,
    receiving,
)
from support.webhook_shipments import webhook_shipment, webhook_sink

VERDICTS = {
    200: Verdict.DELIVERED,
    202: Verdict.DELIVERED,
    204: Verdict.DELIVERED,
    299: Verdict.DELIVERED,
    301: Verdict.REJECTED,
    404: Verdict.REJECTED,
    410: Verdict.GONE,
    429: Verdict.RETRY,
    503: Verdict.RETRY,
}
HEAD = b"HTTP/1.1 200 OK\r\n"

IMPERFECT = [
    (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok", ResponseDefect.LINE_ENDS, b"ok"),
    (b"HTTP/1.1 200 OK\r\r\ncontent-length: 2\r\r\n\r\r\nok", ResponseDefect.LINE_ENDS, b"ok"),
    (HEAD + b"content-length: 2\r\n\nok", ResponseDefect.LINE_ENDS, b"ok"),
    (
        HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\nok",
        ResponseDefect.CONTENT_LENGTH,
        b"ok",
    ),
    (HEAD + b"content-length: 2, 2\r\n\r\nok", ResponseDefect.CONTENT_LENGTH, b"ok"),
    (
        HEAD + b"content-length: 2\r\ncontent-length: 7\r\n\r\nok",
        ResponseDefect.CONTENT_LENGTH,
        b"ok",
    ),
    (HEAD + b"content-length: -1\r\n\r\n", ResponseDefect.CONTENT_LENGTH, b""),
    (HEAD + b"content-length: 2x\r\n\r\n", ResponseDefect.CONTENT_LENGTH, b""),
    (HEAD + b"content-length: " + b"9" * 5000 + b"\r\n\r\n", ResponseDefect.CONTENT_LENGTH, b""),
    (
        HEAD + b"content-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ResponseDefect.CONTENT_LENGTH,
        b"ok",
    ),
    (HEAD + b"transfer-encoding: chunked\r\n\r\n2\nok\n0\n\n", ResponseDefect.LINE_ENDS, b"ok"),
    (HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\nZZ\r\n", ResponseDefect.CHUNKS, b"ok"),
    (HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nokay\r\n", ResponseDefect.CHUNKS, b"ok"),
    (
        HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        ResponseDefect.TRANSFER_ENCODING,
        b"",
    ),
    (
        HEAD + b"transfer-encoding: identity\r\ncontent-length: 2\r\n\r\nok",
        ResponseDefect.TRANSFER_ENCODING,
        b"ok",
    ),
    (HEAD + b"x-a: \x00\x01\r\ncontent-length: 2\r\n\r\nok", ResponseDefect.HEADER, b"ok"),
    (HEAD + b"x a: b\r\ncontent-length: 2\r\n\r\nok", ResponseDefect.HEADER, b"ok"),
    (HEAD + b"no colon\r\ncontent-length: 2\r\n\r\nok", ResponseDefect.HEADER, b"ok"),
    (HEAD + b"content-length : 2\r\n\r\nok", ResponseDefect.HEADER, b"ok"),
    (HEAD + b"content-length:\r\n 2\r\n\r\nok", ResponseDefect.HEADER, b"ok"),
    (HEAD + b" folded: x\r\ncontent-length: 2\r\n\r\nok", ResponseDefect.HEADER, b"ok"),
    (HEAD + b"a: b\r\n" * 20_000 + b"\r\n", ResponseDefect.HEAD_TOO_LARGE, b""),
    (HEAD + b"a: " + b"x" * 100_000 + b"\r\n\r\n", ResponseDefect.HEAD_TOO_LARGE, b""),
    (b"\r\n\r\n" + OK, ResponseDefect.LEADING_BYTES, b"ok"),
    (b"\xef\xbb\xbf" + OK, ResponseDefect.LEADING_BYTES, b"ok"),
    (b"HTTP/1.1  200   OK\r\ncontent-length: 2\r\n\r\nok", ResponseDefect.STATUS_LINE, b"ok"),
    (b"HTTP/1.1\t200\tOK\r\ncontent-length: 2\r\n\r\nok", ResponseDefect.STATUS_LINE, b"ok"),
    (b"http/1.1 200 ok\r\ncontent-length: 2\r\n\r\nok", ResponseDefect.STATUS_LINE, b"ok"),
    (b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok", ResponseDefect.STATUS_LINE, b"ok"),
    (b"HtTp/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", ResponseDefect.STATUS_LINE, b"ok"),
    (b"HTTP 200 OK\r\ncontent-length: 2\r\n\r\nok", ResponseDefect.STATUS_LINE, b"ok"),
    (b"HTTP/1.1 204 No\r\ncontent-length: 2\r\n\r\nok", ResponseDefect.UNEXPECTED_BODY, b""),
    (HEAD + b"content-length: 2\r\n\r\nokay", ResponseDefect.UNEXPECTED_BODY, b"ok"),
]
PERFECT = [
    (OK, b"ok"),
    (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", b"ok"),
    (b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok", b"ok"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    (b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", b""),
    (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", b"ok"),
    (HEAD + b"transfer-encoding: Chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nt: x\r\n\r\n", b"ok"),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nlink: x\r\n\r\n" + OK, b"ok"),
    (b"HTTP/1.1 102 Processing\r\n\r\n" * 100 + OK, b"ok"),
]


async def sent_to(behaviour: Behaviour, *, within: float = 5.0) -> Sent:
    async with receiving(behaviour) as receiver, webhook_sink(within=within) as sink:
        return await sends_once(sink, webhook_shipment(f"http://127.0.0.1:{receiver.port}/hook"))


@pytest.mark.parametrize(("answer", "defect", "kept"), IMPERFECT)
async def test_a_success_in_imperfect_http_is_delivered_and_its_connection_used_once(
    answer: bytes, defect: ResponseDefect, kept: bytes
) -> None:
    async with receiving(answering(answer)) as receiver, webhook_sink() as sink:
        shipment = webhook_shipment(f"http://127.0.0.1:{receiver.port}/hook")
        sent, again = await sends_once(sink, shipment), await sends_once(sink, shipment)
        await receiver.until(lambda r: r.open == 0)
    assert (sent.verdict, sent.response_defect, sent.response) == (Verdict.DELIVERED, defect, kept)
    assert again.verdict is Verdict.DELIVERED
    assert [request.connection for request in receiver.requests] == [1, 2]


@pytest.mark.parametrize(("answer", "kept"), PERFECT)
async def test_what_http_allows_is_no_defect_and_the_connection_serves_again(
    answer: bytes, kept: bytes
) -> None:
    async with receiving(answering(answer)) as receiver, webhook_sink() as sink:
        shipment = webhook_shipment(f"http://127.0.0.1:{receiver.port}/hook")
        sent, _ = await sends_once(sink, shipment), await sends_once(sink, shipment)
    assert (sent.verdict, sent.response_defect, sent.response) == (Verdict.DELIVERED, None, kept)
    assert [request.connection for request in receiver.requests] == [1, 1]


@pytest.mark.parametrize(
    "ending", [b"", b"\r\ncontent-le", b"\n\nhalf", b"\r\nx: \x00\r\n:\r\n\r\n"]
)
async def test_retry_after_is_honoured_where_it_was_whole_before_the_break(ending: bytes) -> None:
    answer = b"HTTP/1.1 503 Later\nRetry-After: 7\r\nx: y" + ending
    sent = await sent_to(answering_then_closing(answer))
    assert (sent.verdict, sent.error, sent.retry_after) == (Verdict.RETRY, ErrorKind.STATUS, 7)


async def test_half_a_retry_after_is_none() -> None:
    sent = await sent_to(answering_then_closing(b"HTTP/1.1 503 Later\r\nRetry-After: 7"))
    assert (sent.status_code, sent.retry_after) == (503, None)


async def test_an_interim_response_without_its_empty_line_is_skipped() -> None:
    sent = await sent_to(answering(b"HTTP/1.1 100 Continue\r\n" + OK))
    assert (sent.verdict, sent.status_code, sent.response) == (Verdict.DELIVERED, 200, b"ok")


async def test_dozens_of_interim_responses_are_skipped_and_hundreds_are_refused() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    sent = await sent_to(answering(interim * MAX_INTERIM + OK))
    assert (sent.verdict, sent.status_code) == (Verdict.DELIVERED, 200)
    sent = await sent_to(answering(interim * (MAX_INTERIM + 1) + OK))
    assert (sent.verdict, sent.error) == (Verdict.RETRY, ErrorKind.PROTOCOL)


SNIPPETS = st.sampled_from(
    [
        b"",
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n\n",
        b":",
        b" ",
        b"\x00",
        b"\xff\xfe",
        b"0\r\n\r\n",
        b"fffffffffffffffffff\r\n",
        b"content-length: 5\r\n",
        b"content-length: 18446744073709551617\r\n",
        b"transfer-encoding: chunked\r\n",
        b"transfer-encoding: gzip\r\n",
        b"connection: upgrade\r\nupgrade: h2c\r\n",
        b"HTTP/1.1 410 Gone\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\n",
        b"x" * 70_000,
        b"a: b\r\n" * 300,
    ]
)
BEHIND = st.sampled_from(
    [
        b"\r\ncontent-length: 2\r\n\r\nok",
        b" OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok",
        b" OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b" OK\r\nserver: camera\r\n\r\nok",
        b" OK\r\n\r\n",
    ]
)


@st.composite
def broken_behind_the_status(draw: st.DrawFn) -> bytes:
    """Return what follows a status: once in order, now cut, filled, doubled and overwritten."""
    rest = draw(BEHIND)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(rest)))
        end = min(len(rest), start + draw(st.integers(0, 8)))
        middle = draw(st.one_of(SNIPPETS, st.just(rest[start:end] * 2), st.binary(max_size=6)))
        rest = rest[:start] + middle + rest[end:]
    return b" " + rest if rest[:1].isdigit() else rest  # or it would be another status


@st.composite
def in_pieces(draw: st.DrawFn, text: bytes) -> list[bytes]:
    """Cut a text somewhere, as networks do."""
    places = draw(st.lists(st.integers(0, len(text)), max_size=4).map(sorted))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True) if a < b]


@settings(max_examples=400)
@given(st.data(), st.sampled_from(sorted(VERDICTS)), broken_behind_the_status())
def test_nothing_behind_a_status_changes_it(data: st.DataObject, code: int, rest: bytes) -> None:
    before = data.draw(st.sampled_from([b"", b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    response = Received()
    parser = ResponseParser(response, keep=16, read=65_536)
    for piece in data.draw(in_pieces(before + b"HTTP/1.1 %d" % code + rest)):
        if not parser.done:
            parser.feed(piece)
    parser.close()
    assert (response.status, parser.done) == (code, True)
    assert len(response.body) <= 16


@settings(max_examples=60)
@given(st.data(), st.sampled_from(sorted(VERDICTS)), broken_behind_the_status())
def test_nothing_behind_a_status_changes_the_verdict(
    data: st.DataObject, code: int, rest: bytes
) -> None:
    pieces = data.draw(in_pieces(b"HTTP/1.1 %d" % code + rest))

    async def behave(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.say(piece)
        exchange.writer.close()

    sent = asyncio.run(sent_to(behave))
    assert (sent.verdict, sent.status_code) == (VERDICTS[code], code)


@settings(max_examples=300)
@given(st.binary(max_size=64), st.data())
def test_bytes_of_any_kind_are_not_http_or_not_yet(text: bytes, data: st.DataObject) -> None:
    parser = ResponseParser(Received(), keep=16, read=1024)
    with suppress(NotHttp):
        for piece in data.draw(in_pieces(text)):
            if parser.feed(piece):
                return
        parser.close()
