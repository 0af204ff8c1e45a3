import asyncio
import gc
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

import pytest
import trustme

from hookline.domain.deliveries import ErrorKind, Sent, TlsReason, Verdict
from hookline.sinks.sqs import SqsSink
from sinks.contract import fails_as, sends_once
from support.sqs_fake import Behaviour, FakeSqs, answering, error, resetting, slow
from support.sqs_shipments import sqs_shipment

RETRY = Verdict.RETRY


async def sent_to(endpoint: str, *, within: float = 5.0) -> Sent:
    """Send one message to whatever listens there."""
    sink = SqsSink(timeout=within, endpoint_url=endpoint)
    try:
        return await sends_once(sink, sqs_shipment())
    finally:
        await sink.aclose()


@asynccontextmanager
async def listening(
    answer: bytes | None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answer each request with these bytes and close; with None, never answer."""
    heard: list[bytes] = []
    done = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is None:
            await done.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}", heard
    finally:
        done.set()
        server.close()
        await server.wait_closed()


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("behaviour", "kind", "status"),
    [
        (error("RequestThrottled"), ErrorKind.THROTTLED, 400),
        (error("InternalError", status=500), ErrorKind.SERVICE, 500),
        (answering(503, b"<html>Service Unavailable</html>"), ErrorKind.SERVICE, 503),
        (answering(502), ErrorKind.SERVICE, 502),
        (resetting, ErrorKind.RESET, None),
        (answering(200, b"this is not JSON"), ErrorKind.PROTOCOL, None),
        (answering(200, b"[]"), ErrorKind.PROTOCOL, None),
        (answering(200, b'{"Successful": [{"Id": "7"}]}'), ErrorKind.PROTOCOL, None),
        (answering(200, b'{"Successful": "' + b"x" * 300_000 + b'"}'), ErrorKind.PROTOCOL, None),
        (answering(200, b'{"Successful": "x", "Failed": 7}'), ErrorKind.PROTOCOL, None),
        (answering(200, b'{"Successful": [7, null, {"Id": {}}]}'), ErrorKind.PROTOCOL, None),
        (answering(200, b'{"Successful": [{"Id": [0]}]}'), ErrorKind.PROTOCOL, None),
        (answering(200, b'{"Failed": [null], "Successful": [null]}'), ErrorKind.PROTOCOL, None),
        (answering(500, b'"x"'), ErrorKind.PROTOCOL, None),
        (answering(500, b'[{"__type": 7}]'), ErrorKind.PROTOCOL, None),
        (answering(500, b'{"__type": {"a": 7}, "message": [7]}'), ErrorKind.PROTOCOL, None),
    ],
)
async def test_what_may_pass_is_retried_later_and_asked_once(
    fake: FakeSqs, sink: SqsSink, behaviour: Behaviour, kind: ErrorKind, status: int | None
) -> None:
    fake.always("orders", behaviour)
    sent = await fails_as(sink, sqs_shipment(), RETRY, kind)
    assert sent.status_code == status
    assert sent.response
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (
            error("AccessDeniedException", "not authorized to perform: sqs:sendmessage"),
            "credentials",
        ),
        (error("InvalidClientTokenId", status=403), "credentials"),
        (error("SignatureDoesNotMatch", status=403), "credentials"),
        (
            error("QueueDoesNotExist", query_code="AWS.SimpleQueueService.NonExistentQueue"),
            "queue",
        ),
        (error("KmsAccessDenied", query_code="KMS.AccessDeniedException"), "encryption"),
        (error("InvalidMessageContents"), "invalid"),
        (answering(307, b"", {"location": "http://127.0.0.1:1/"}), "status"),
    ],
)
async def test_what_cannot_pass_fails_at_once(
    fake: FakeSqs, sink: SqsSink, behaviour: Behaviour, kind: str
) -> None:
    fake.always("orders", behaviour)
    await fails_as(sink, sqs_shipment(), Verdict.REJECTED, ErrorKind(kind))
    assert len(fake.calls) == 1


async def test_a_queue_that_does_not_answer_ends_at_the_deadline(fake: FakeSqs) -> None:
    fake.always("orders", slow(30))
    sent = await sent_to(fake.url, within=0.5)
    assert (sent.verdict, sent.error, sent.status_code) == (RETRY, ErrorKind.TIMEOUT, None)


async def test_where_nothing_listens_the_connection_is_refused() -> None:
    sent = await sent_to(f"http://127.0.0.1:{unused_port()}")
    assert (sent.verdict, sent.error) == (RETRY, ErrorKind.REFUSED)
    assert sent.response == b"AWS SQS could not be reached."


async def test_what_is_not_http_is_a_protocol_error() -> None:
    async with listening(b"SSH-2.0-OpenSSH_9.6\r\n") as (url, heard):
        sent = await sent_to(url)
    assert (sent.verdict, sent.error) == (RETRY, ErrorKind.PROTOCOL)
    assert sent.response == b"What answered is not AWS SQS."
    assert len(heard) == 1


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9.6\r\n", b"", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"]
)
async def test_nothing_of_a_failed_batch_is_left_to_the_garbage_collector(answer: bytes) -> None:
    """It would hold the messages, and botocore keeps each error in a variable of its frames."""
    async with listening(answer) as (url, _):
        await sent_to(url)  # whatever is made once
        gc.collect()
        before = {id(each) for each in gc.get_objects() if isinstance(each, FrameType)}
        gc.disable()
        try:
            assert (await sent_to(url)).verdict is RETRY
            await asyncio.sleep(0)  # the loop lets go of what it called last
            left = [
                each.f_code.co_qualname
                for each in gc.get_objects()
                if isinstance(each, FrameType) and id(each) not in before
            ]
        finally:
            gc.enable()
    assert not [each for each in left if "send" in each], left


async def test_an_answer_that_breaks_off_is_a_reset() -> None:
    async with listening(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{") as (url, heard):
        sent = await sent_to(url)
    assert (sent.verdict, sent.error) == (RETRY, ErrorKind.RESET)
    assert sent.response == b"The connection to AWS SQS ended before an answer had come."
    assert len(heard) == 1


async def test_a_server_that_never_answers_is_a_timeout() -> None:
    async with listening(None) as (url, _):
        sent = await sent_to(url, within=0.5)
    assert (sent.verdict, sent.error) == (RETRY, ErrorKind.TIMEOUT)


async def test_a_certificate_that_nobody_vouches_for_is_a_tls_error() -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    async with listening(b"", server) as (url, heard):
        sent = await sent_to(url)
    assert (sent.verdict, sent.error) == (RETRY, ErrorKind.TLS)
    assert sent.tls_reason is TlsReason.INCOMPLETE_CHAIN
    assert sent.response == b"No trusted, encrypted connection to AWS SQS came about."
    assert not heard


async def test_a_key_that_cannot_be_in_a_header_fails_without_harm(
    fake: FakeSqs, sink: SqsSink
) -> None:
    sent = await sink.send(sqs_shipment(key="AKIA\r\nX-Evil: 1"))
    assert (sent.verdict, sent.error) == (Verdict.REJECTED, ErrorKind.CREDENTIALS)
    assert not fake.calls
    assert (await sink.send(sqs_shipment())).verdict is Verdict.DELIVERED


@pytest.mark.parametrize(
    "surroundings",
    [
        {"HTTP_PROXY": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:1"},
        {"AWS_PROFILE": "nobody", "AWS_DEFAULT_REGION": "us-west-2"},
        {"AWS_CONFIG_FILE": "/nowhere", "AWS_CA_BUNDLE": "/nowhere"},
        {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "y"},
        {"AWS_MAX_ATTEMPTS": "5", "AWS_RETRY_MODE": "adaptive", "AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_DEFAULTS_MODE": "auto", "AWS_CSM_ENABLED": "true", "AWS_BEARER_TOKEN_SQS": "z"},
    ],
    ids=lambda surroundings: next(iter(surroundings)),
)
async def test_nothing_is_taken_from_the_environment(
    fake: FakeSqs, monkeypatch: pytest.MonkeyPatch, surroundings: dict[str, str]
) -> None:
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    fake.misbehave(error("InternalError", status=500))
    assert (await sent_to(fake.url)).verdict is RETRY
    assert (await sent_to(fake.url)).verdict is Verdict.DELIVERED
    assert len(fake.calls) == 2
    headers = fake.calls[1].headers
    assert "Credential=AKIAIOSFODNN7EXAMPLE/" in headers["authorization"]
    assert "/eu-central-1/sqs/" in headers["authorization"]
    assert "x-amz-security-token" not in headers
    assert headers["user-agent"].startswith("Hookline/")


def test_importing_the_sink_imports_none_of_the_slow_libraries() -> None:
    program = (
        "import sys, hookline.sinks.sqs\n"
        "print([m for m in ('aioboto3', 'botocore', 'boto3', 'aiohttp') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"
