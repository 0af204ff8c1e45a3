import asyncio
import hmac
import io
import json
from collections.abc import Iterator
from hashlib import sha256

import httpx
import pytest
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook

from hookline import __version__, logs
from hookline.domain.deliveries import ErrorKind, TlsReason, Verdict
from hookline.domain.targets import SqsTarget
from hookline.security.egress import errors
from hookline.sinks import Shipment
from hookline.sinks.webhook import WebhookSink
from sinks.contract import delivers, fails_as, forgets, sends_once
from support.receivers import OK, Exchange, Receiver, answering, receiving, status
from support.webhook_shipments import OLD_SECRET, SECRET, webhook_shipment, webhook_sink


def to(receiver: Receiver, path: str = "/hook") -> str:
    return f"http://127.0.0.1:{receiver.port}{path}"


async def test_a_copy_arrives_with_its_bytes_headers_and_signatures() -> None:
    body = '{"id":"ü","data":{"a":1}}'.encode()
    async with receiving() as receiver, webhook_sink() as sink:
        shipment = webhook_shipment(to(receiver, "/hook?tenant=7"), body=body)
        await delivers(sink, shipment)
    request = receiver.requests[0]
    assert request.line == "POST /hook?tenant=7 HTTP/1.1"
    assert request.body == body
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == f"Hookline/{__version__}"
    assert request.headers["webhook-id"] == str(shipment.delivery_id)
    assert request.headers["x-signature"] == hmac.new(SECRET.encode(), body, sha256).hexdigest()
    assert Webhook(f"whsec_{SECRET}").verify(body, request.headers) == json.loads(body)


@pytest.mark.parametrize(
    ("saved", "asked"),
    [
        ("", "/"),
        ("?tenant=7", "/?tenant=7"),
        ("/hook", "/hook"),
        ("/höok?a=ü", "/h%C3%B6ok?a=%C3%BC"),
        ("/a%2Fb?c=%20d", "/a%2Fb?c=%20d"),
        ('/{"x"}', "/%7B%22x%22%7D"),
    ],
)
async def test_the_request_line_is_ascii_and_begins_with_a_path(saved: str, asked: str) -> None:
    async with receiving() as receiver, webhook_sink() as sink:
        await delivers(sink, webhook_shipment(to(receiver, saved)))
    assert receiver.requests[0].line == f"POST {asked} HTTP/1.1"


async def test_while_a_secret_rotates_both_sign() -> None:
    async with receiving() as receiver, webhook_sink() as sink:
        shipment = webhook_shipment(to(receiver), secrets=(SECRET, OLD_SECRET))
        await delivers(sink, shipment)
    request = receiver.requests[0]
    for secret in (SECRET, OLD_SECRET):
        assert Webhook(f"whsec_{secret}").verify(request.body, request.headers)
    expected = hmac.new(SECRET.encode(), request.body, sha256).hexdigest()
    assert request.headers["x-signature"] == expected


async def test_the_customers_headers_go_along() -> None:
    async with receiving() as receiver, webhook_sink() as sink:
        await delivers(sink, webhook_shipment(to(receiver), headers=(("X-Tenant", "7"),)))
    assert receiver.requests[0].headers["x-tenant"] == "7"


async def test_a_header_with_a_line_break_is_never_sent() -> None:
    async with receiving() as receiver, webhook_sink() as sink:
        for value in ("7\r\nX-Evil: 1", "7\nX-Evil: 1", "7\rX-Evil: 1"):
            shipment = webhook_shipment(to(receiver), headers=(("X-Tenant", value),))
            await fails_as(sink, shipment, Verdict.INTERNAL, ErrorKind.INTERNAL)
    assert receiver.connections == 0


@pytest.mark.parametrize("code", [200, 201, 202, 204, 206, 299])
async def test_a_status_of_success_delivers(code: int) -> None:
    async with receiving(answering(status(code))) as receiver, webhook_sink() as sink:
        sent = await delivers(sink, webhook_shipment(to(receiver)))
    assert sent.status_code == code


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_a_status_that_may_pass_is_retried(code: int) -> None:
    async with receiving(answering(status(code))) as receiver, webhook_sink() as sink:
        shipment = webhook_shipment(to(receiver))
        sent = await fails_as(sink, shipment, Verdict.RETRY, ErrorKind.STATUS)
    assert (sent.status_code, sent.retry_after) == (code, None)


@pytest.mark.parametrize("code", [300, 304, 400, 401, 403, 404, 409, 418, 422, 451, 600, 999])
async def test_every_other_status_fails_at_once(code: int) -> None:
    async with receiving(answering(status(code))) as receiver, webhook_sink() as sink:
        shipment = webhook_shipment(to(receiver))
        sent = await fails_as(sink, shipment, Verdict.REJECTED, ErrorKind.STATUS)
    assert sent.status_code == code


async def test_a_receiver_that_finds_the_body_too_large_is_told_of_with_its_size() -> None:
    async with receiving(answering(status(413))) as receiver, webhook_sink() as sink:
        shipment = webhook_shipment(to(receiver), body=b"x" * 1234)
        sent = await fails_as(sink, shipment, Verdict.TOO_LARGE, ErrorKind.TOO_LARGE)
    assert (sent.status_code, sent.body_bytes) == (413, 1234)


async def test_an_attempt_tells_its_number_and_why_there_is_another_one() -> None:
    async with receiving() as receiver, webhook_sink() as sink:
        shipment = webhook_shipment(to(receiver))
        again = replace(shipment, attempt=2, retry_reason=ErrorKind.TIMEOUT)
        for each in (shipment, again):
            assert (await sink.send(each)).verdict is Verdict.DELIVERED
    first, second = (request.headers for request in receiver.requests)
    assert (first["webhook-attempt"], second["webhook-attempt"]) == ("1", "2")
    assert "webhook-retry-reason" not in first
    assert second["webhook-retry-reason"] == "timeout"


async def test_gone_says_never_again() -> None:
    async with receiving(answering(status(410))) as receiver, webhook_sink() as sink:
        await fails_as(sink, webhook_shipment(to(receiver)), Verdict.GONE, ErrorKind.STATUS)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(code: int) -> None:
    async with receiving() as elsewhere, receiving() as receiver, webhook_sink() as sink:
        receiver.behaviour = answering(status(code, f"location: {to(elsewhere)}"))
        shipment = webhook_shipment(to(receiver))
        await fails_as(sink, shipment, Verdict.REJECTED, ErrorKind.STATUS)
    assert (elsewhere.connections, len(receiver.requests)) == (0, 1)


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None), ("-1", None)]
)
async def test_retry_after_is_handed_on_in_seconds(value: str, seconds: float | None) -> None:
    answer = status(503, f"retry-after: {value}")
    async with receiving(answering(answer)) as receiver, webhook_sink() as sink:
        sent = await sends_once(sink, webhook_shipment(to(receiver)))
    assert sent.retry_after == seconds


async def test_the_first_4_kib_of_an_answer_are_kept_as_they_are() -> None:
    body = bytes(range(256)) * 40
    answer = status(400, "content-encoding: gzip", body=body)
    async with receiving(answering(answer)) as receiver, webhook_sink() as sink:
        sent = await sends_once(sink, webhook_shipment(to(receiver)))
    assert sent.response == body[:4096]


async def test_a_connection_serves_again_also_after_an_answer_longer_than_what_is_kept() -> None:
    answer = status(200, body=b"x" * 20_000)
    async with receiving(answering(answer)) as receiver, webhook_sink() as sink:
        for _ in range(5):
            await delivers(sink, webhook_shipment(to(receiver)))
    assert (receiver.connections, len(receiver.requests)) == (1, 10)


@pytest.mark.parametrize("hangs_up", [False, True], ids=["and waits", "and hangs up"])
async def test_a_receiver_that_answers_before_it_has_read_the_body_is_heard(hangs_up: bool) -> None:  # noqa: FBT001  # a parameter of the test
    heard = asyncio.Event()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(status(413))
        if not hangs_up:
            await heard.wait()
        writer.transport.abort()

    server = await asyncio.start_server(early, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, webhook_sink() as sink:
        shipment = webhook_shipment(f"http://127.0.0.1:{port}/", body=b"x" * 8_000_000)
        sent = await fails_as(sink, shipment, Verdict.TOO_LARGE, ErrorKind.TOO_LARGE)
        heard.set()
    assert sent.status_code == 413


async def test_a_body_of_a_megabyte_arrives_whole() -> None:
    body = b"x" * 1_048_576
    async with receiving() as receiver, webhook_sink() as sink:
        await delivers(sink, webhook_shipment(to(receiver), body=body))
    assert receiver.requests[0].body == body


async def test_copies_to_one_receiver_are_in_flight_together() -> None:
    together = asyncio.Barrier(8)

    async def behave(exchange: Exchange) -> None:
        await together.wait()
        await exchange.say(OK)

    async with receiving(behave) as receiver, webhook_sink() as sink:
        shipments = [webhook_shipment(to(receiver)) for _ in range(8)]
        sent = await asyncio.gather(*(sink.send(shipment) for shipment in shipments))
    assert {s.verdict for s in sent} == {Verdict.DELIVERED}


async def test_a_cancelled_send_closes_its_connection() -> None:
    async def silent(exchange: Exchange) -> None:
        asked.set()
        await exchange.until_closed()

    asked = asyncio.Event()
    async with receiving(silent) as receiver, webhook_sink() as sink:
        sending = asyncio.create_task(sink.send(webhook_shipment(to(receiver))))
        await asked.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await receiver.until(lambda r: r.open == 0)


async def test_a_forgotten_target_keeps_no_connection_and_still_works() -> None:
    async with receiving() as receiver, webhook_sink() as sink:
        shipment = webhook_shipment(to(receiver))
        await forgets(sink, shipment)
        await sink.forget(shipment.target)
        await receiver.until(lambda r: r.open == 0)
    assert receiver.connections == 2


async def test_a_closed_sink_keeps_nothing_open_and_sends_nothing() -> None:
    async with receiving() as receiver:
        async with webhook_sink() as sink:
            await delivers(sink, webhook_shipment(to(receiver)))
        await receiver.until(lambda r: r.open == 0)
        await fails_as(sink, webhook_shipment(to(receiver)), Verdict.RETRY, ErrorKind.RESET)
    assert len(receiver.requests) == 2


@pytest.fixture
def log_stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(stream=stream)
    yield stream
    logs.configure()


async def test_the_operator_is_told_what_failed_and_the_log_stays_one_json_line(
    log_stream: io.StringIO,
) -> None:
    garbage = b"HTTP/1.1 2\x00\xff\x1b[31m\n{\r\n\r\n"
    async with receiving(answering(garbage)) as receiver, webhook_sink() as sink:
        shipment = webhook_shipment(to(receiver, "/hook?key=marked"))
        await fails_as(sink, shipment, Verdict.RETRY, ErrorKind.PROTOCOL)
    (line,) = [json.loads(entry) for entry in log_stream.getvalue().splitlines()]
    assert line["event"] == "webhook.unanswered"
    assert (line["delivery"], line["error"]) == (str(shipment.delivery_id), "protocol")
    assert "marked" not in log_stream.getvalue()


async def test_a_url_kept_under_earlier_rules_is_blocked_and_forgotten_quietly() -> None:
    async with webhook_sink() as sink:
        shipment = webhook_shipment("https://user@crm.example.com/")
        await fails_as(sink, shipment, Verdict.BLOCKED, ErrorKind.BLOCKED)
        await sink.forget(shipment.target)


async def test_another_sinks_target_is_a_mistake_of_ours() -> None:
    shipment = webhook_shipment("https://crm.example.com/")
    queue = SqsTarget("https://sqs.eu-central-1.amazonaws.com/1/q", "AKIA", "secret")
    wrong = Shipment(shipment.delivery_id, b"{}", queue, "t", "s", None, "c")
    async with webhook_sink() as sink:
        with pytest.raises(TypeError, match="SqsTarget"):
            await sink.send(wrong)


@pytest.mark.parametrize(
    ("failure", "verdict", "kind"),
    [
        (errors.TargetBlocked("x"), Verdict.BLOCKED, ErrorKind.BLOCKED),
        (errors.NameUnknown("x"), Verdict.RETRY, ErrorKind.DNS),
        (errors.NotReachable("x"), Verdict.RETRY, ErrorKind.REFUSED),
        (errors.TlsFailed("x", TlsReason.EXPIRED), Verdict.RETRY, ErrorKind.TLS),
        (errors.ConnectionLost("x", silent=True), Verdict.RETRY, ErrorKind.RESET),
        (errors.NotHttp("x"), Verdict.RETRY, ErrorKind.PROTOCOL),
        (httpx.LocalProtocolError("x"), Verdict.INTERNAL, ErrorKind.INTERNAL),
    ],
)
async def test_each_failure_has_its_kind(
    failure: Exception, verdict: Verdict, kind: ErrorKind
) -> None:
    class Failing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            del request
            raise failure

    sink = WebhookSink(Failing())
    await fails_as(sink, webhook_shipment("https://crm.example.com/"), verdict, kind)
