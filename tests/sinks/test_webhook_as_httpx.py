"""A webhook leaves as an httpx request: through our transport, or any other of httpx's."""

import asyncio
import json
from collections.abc import AsyncIterator
from ipaddress import ip_network

import httpx
import pytest

from hookline.domain.deliveries import ErrorKind, ResponseDefect, Verdict
from hookline.security.egress.policy import EgressPolicy
from hookline.security.egress.transport import GuardedTransport
from hookline.sinks.webhook import WebhookSink
from sinks.contract import delivers, fails_as
from support.receivers import (
    Exchange,
    Receiver,
    answering,
    answering_then_closing,
    receiving,
    status,
)
from support.webhook_shipments import webhook_shipment

URL = "https://crm.example.com/hook?tenant=7"


def to(receiver: Receiver) -> str:
    return f"http://127.0.0.1:{receiver.port}/hook"


@pytest.fixture
async def guarded() -> AsyncIterator[GuardedTransport]:
    transport = GuardedTransport(EgressPolicy([ip_network("127.0.0.0/8")]))
    yield transport
    await transport.aclose()


async def test_a_mock_transport_sees_the_whole_request_and_its_response_counts() -> None:
    seen: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        await request.aread()
        seen.append(request)
        return httpx.Response(503, headers={"Retry-After": "7"}, content=b"x" * 5000)

    sink = WebhookSink(httpx.MockTransport(answer))
    shipment = webhook_shipment(URL, headers=(("X-Tenant", "7"),))
    sent = await fails_as(sink, shipment, Verdict.RETRY, ErrorKind.STATUS)
    assert (sent.status_code, sent.retry_after, sent.response) == (503, 7.0, b"x" * 4096)
    request = seen[0]
    assert (request.method, str(request.url), request.content) == ("POST", URL, shipment.body)
    assert request.headers["host"] == "crm.example.com"
    assert request.headers["x-tenant"] == "7"
    assert request.headers["webhook-id"] == str(shipment.delivery_id)
    assert request.headers["content-length"] == str(len(shipment.body))


async def test_httpx_own_transport_delivers_the_same_bytes_over_one_connection() -> None:
    async with receiving(answering(status(202, body=b"queued"))) as receiver:
        sink = WebhookSink(httpx.AsyncHTTPTransport())
        shipment = webhook_shipment(to(receiver))
        sent = await delivers(sink, shipment)
        await sink.forget(shipment.target)
        await sink.aclose()
    assert sent.response == b"queued"
    assert receiver.requests[0].body == shipment.body
    assert receiver.connections == 1


@pytest.mark.parametrize(
    ("code", "verdict", "error"),
    [(200, Verdict.DELIVERED, None), (404, Verdict.REJECTED, ErrorKind.STATUS)],
)
async def test_with_httpx_own_transport_a_status_stands_when_the_body_breaks_off(
    code: int, verdict: Verdict, error: ErrorKind | None
) -> None:
    cut_short = b"HTTP/1.1 %d X\r\ncontent-length: 9\r\n\r\nok" % code
    async with receiving(answering_then_closing(cut_short)) as receiver:
        sink = WebhookSink(httpx.AsyncHTTPTransport())
        sent = await sink.send(webhook_shipment(to(receiver)))
        await sink.aclose()
    assert (sent.verdict, sent.error, sent.status_code) == (verdict, error, code)
    assert (sent.response, sent.response_defect) == (b"ok", ResponseDefect.TRUNCATED)


@pytest.mark.parametrize(
    ("code", "verdict", "error"),
    [(200, Verdict.DELIVERED, None), (404, Verdict.RETRY, ErrorKind.TIMEOUT)],
)
async def test_with_httpx_own_transport_the_deadline_covers_the_body(
    code: int, verdict: Verdict, error: ErrorKind | None
) -> None:
    async def slow(exchange: Exchange) -> None:
        await exchange.say(b"HTTP/1.1 %d X\r\ncontent-length: 9\r\n\r\nok" % code)
        await exchange.until_closed()

    async with receiving(slow) as receiver:
        sink = WebhookSink(httpx.AsyncHTTPTransport(), timeout=0.3)
        sent = await sink.send(webhook_shipment(to(receiver)))
        await receiver.until(lambda r: r.open == 0)
        await sink.aclose()
    assert (sent.verdict, sent.error, sent.status_code) == (verdict, error, code)
    assert sent.response == b"ok"


async def test_the_guarded_transport_serves_an_ordinary_client_of_httpx(
    guarded: GuardedTransport,
) -> None:
    answer = status(200, "set-cookie: a=b", body=b'{"a":1}')
    async with receiving(answering(answer)) as receiver, httpx.AsyncClient(transport=guarded) as c:
        responses = [await c.post(to(receiver), json={"n": n}) for n in range(2)]
    assert [r.json() for r in responses] == [{"a": 1}] * 2
    assert [json.loads(r.body)["n"] for r in receiver.requests] == [0, 1]
    assert receiver.connections == 1
    assert responses[0].headers["content-length"] == "7"
    assert "set-cookie" not in responses[0].headers  # only what Hookline reads


async def test_a_request_with_a_line_break_in_a_header_is_not_sent(
    guarded: GuardedTransport,
) -> None:
    async with receiving() as receiver:
        for field in ((b"x-a", b"1\r\nx-evil: 1"), (b"x-a\n", b"1"), (b"x-a", b"\r")):
            request = httpx.Request("POST", to(receiver), headers=[field])
            with pytest.raises(httpx.LocalProtocolError, match="line break"):
                await guarded.handle_async_request(request)
    assert receiver.connections == 0


async def test_a_body_that_is_not_for_asyncio_is_refused(guarded: GuardedTransport) -> None:
    request = httpx.Request("POST", "http://127.0.0.1:9/", content=iter([b"a"]))
    with pytest.raises(httpx.LocalProtocolError, match="asyncio"):
        await guarded.handle_async_request(request)


async def test_a_cancelled_request_stays_cancelled_behind_a_status(
    guarded: GuardedTransport,
) -> None:
    asked = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")
        asked.set()
        await exchange.until_closed()

    async with receiving(slow) as receiver:
        request = httpx.Request("POST", to(receiver), content=b"{}")
        sending = asyncio.create_task(guarded.handle_async_request(request))
        await asked.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await receiver.until(lambda r: r.open == 0)
