"""TLS on the way out: what does not hold is refused before a byte is sent, and told apart."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hookline.domain.deliveries import ErrorKind, TlsReason, Verdict
from hookline.errors import ConfigurationError
from hookline.security.egress.tls import TlsSessions, client_tls
from hookline.security.egress.urls import Origin
from sinks.contract import delivers, fails_as
from support.certificates import (
    Authority,
    asking_for_one,
    until_tls_1_1,
    without_a_common_cipher,
)
from support.receivers import OK, Exchange, receiving
from support.webhook_shipments import Names, webhook_shipment, webhook_sink

NAME = "crm.example.com"
SHORT = 0.3  # seconds
CLOSING_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


BROKEN_TLS: dict[TlsReason, Callable[[Authority, Authority], ssl.SSLContext]] = {
    TlsReason.EXPIRED: lambda ours, _: ours.expired(NAME),
    TlsReason.NOT_YET_VALID: lambda ours, _: ours.not_yet_valid(NAME),
    TlsReason.WRONG_HOST: lambda ours, _: ours.server("other.example.com"),
    TlsReason.SELF_SIGNED: lambda _, unknown: unknown.self_signed(),
    TlsReason.UNKNOWN_ISSUER: lambda _, unknown: unknown.with_root(NAME),
    TlsReason.INCOMPLETE_CHAIN: lambda ours, _: ours.without_intermediate(NAME),
    TlsReason.INVALID_CERTIFICATE: lambda ours, _: ours.weak(NAME),
}


@pytest.mark.parametrize("reason", BROKEN_TLS)
async def test_tls_that_does_not_hold_is_told_apart_and_refused_before_a_byte_is_sent(
    reason: TlsReason, authority: Authority, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    tls = BROKEN_TLS[reason](authority, Authority(tmp_path))
    resolver = Names(crm_example_com=[["127.0.0.1"]])
    async with receiving(tls=tls) as receiver, webhook_sink(tls=trusting, names=resolver) as sink:
        shipment = webhook_shipment(f"https://{NAME}:{receiver.port}/hook")
        sent = await fails_as(sink, shipment, Verdict.RETRY, ErrorKind.TLS)
    assert sent.tls_reason is reason
    assert receiver.requests == []


def strict_since_python_3_13(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Python's default be as it is since 3.13, whichever runs."""
    made = ssl.create_default_context

    def strictly() -> ssl.SSLContext:
        context = made()
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strictly)


def lax_until_python_3_12(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Python's default be as it was until 3.12, whichever runs."""
    made = ssl.create_default_context

    def laxly() -> ssl.SSLContext:
        context = made()
        context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
        return context

    monkeypatch.setattr(ssl, "create_default_context", laxly)


@pytest.mark.parametrize("default", [strict_since_python_3_13, lax_until_python_3_12])
async def test_which_certificates_are_trusted_does_not_depend_on_pythons_version(
    default: Callable[[pytest.MonkeyPatch], None],
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    default(monkeypatch)
    intermediate = tmp_path / "intermediate.pem"
    for tls, trusted in (
        (authority.without_key_identifier(NAME), authority.file),
        (authority.without_intermediate(NAME, intermediate), intermediate),
    ):
        context, resolver = client_tls(trusted), Names(crm_example_com=[["127.0.0.1"]])
        async with (
            receiving(tls=tls) as receiver,
            webhook_sink(tls=context, names=resolver) as sink,
        ):
            await delivers(sink, webhook_shipment(f"https://{NAME}:{receiver.port}/hook"))


@pytest.mark.parametrize(
    ("unwilling", "reason"),
    [
        (until_tls_1_1, TlsReason.PROTOCOL_VERSION),
        (asking_for_one, TlsReason.CLIENT_CERTIFICATE),
        (without_a_common_cipher, TlsReason.HANDSHAKE),
    ],
)
async def test_a_server_that_breaks_the_handshake_off_is_told_apart(
    unwilling: Callable[[ssl.SSLContext], ssl.SSLContext],
    reason: TlsReason,
    authority: Authority,
    trusting: ssl.SSLContext,
) -> None:
    context = unwilling(authority.server("127.0.0.1"))

    def refuse(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, connection.dup() as bare:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)
            bare.shutdown(socket.SHUT_WR)
            while bare.recv(65_536):  # or closing would be a reset, which overtakes the alert
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        refusing = asyncio.create_task(asyncio.to_thread(refuse, server))
        async with webhook_sink(tls=trusting) as sink:
            shipment = webhook_shipment(f"https://127.0.0.1:{server.getsockname()[1]}/")
            sent = await fails_as(sink, shipment, Verdict.RETRY, ErrorKind.TLS)
        await refusing
    assert sent.tls_reason is reason


async def test_https_is_never_downgraded_to_a_server_without_tls(trusting: ssl.SSLContext) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    target = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, webhook_sink(tls=trusting) as sink:
        sent = await fails_as(sink, webhook_shipment(target), Verdict.RETRY, ErrorKind.TLS)
    assert sent.tls_reason is TlsReason.NOT_TLS


async def test_a_server_that_is_silent_while_tls_is_agreed_on_runs_out_of_time(
    trusting: ssl.SSLContext,
) -> None:
    gone = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set()
        writer.transport.abort()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    target = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, webhook_sink(within=SHORT, tls=trusting) as sink:
        await fails_as(sink, webhook_shipment(target), Verdict.RETRY, ErrorKind.TIMEOUT)
        await asyncio.wait_for(gone.wait(), 5)


async def test_a_server_that_hangs_up_while_tls_is_agreed_on_is_a_reset(
    trusting: ssl.SSLContext,
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    target = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, webhook_sink(tls=trusting) as sink:
        await fails_as(sink, webhook_shipment(target), Verdict.RETRY, ErrorKind.RESET)


def test_a_ca_file_that_is_none_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "authority.pem"
    path.write_text("no certificate")
    for wrong in (path, tmp_path / "missing.pem"):
        with pytest.raises(ConfigurationError, match="EGRESS_CA_FILE"):
            client_tls(wrong)


def test_the_systems_authorities_are_trusted_beside_the_operators(authority: Authority) -> None:
    system, both = client_tls(), client_tls(authority.file)
    assert both.cert_store_stats()["x509_ca"] == system.cert_store_stats()["x509_ca"] + 1
    assert both.check_hostname
    assert both.verify_mode is ssl.CERT_REQUIRED
    assert both.minimum_version is ssl.TLSVersion.TLSv1_2


def resumed(exchange: Exchange) -> bool:
    return bool(exchange.writer.get_extra_info("ssl_object").session_reused)


class Resumption:
    """A behaviour: each answer ends its connection; it notes which of those resumed another's."""

    def __init__(self) -> None:
        self.resumed: list[bool] = []

    async def __call__(self, exchange: Exchange) -> None:
        self.resumed.append(resumed(exchange))
        await exchange.say(CLOSING_OK)


async def test_a_connection_resumes_what_an_earlier_one_of_its_origin_agreed_on(
    authority: Authority, trusting: ssl.SSLContext
) -> None:
    behaviour, tls = Resumption(), authority.server("127.0.0.1")
    async with (
        receiving(behaviour, tls=tls) as receiver,
        receiving(behaviour, tls=tls) as another,
        webhook_sink(tls=trusting) as sink,
    ):
        for port in (receiver.port, receiver.port, another.port, receiver.port):
            await sink.send(webhook_shipment(f"https://127.0.0.1:{port}/"))
    assert behaviour.resumed == [False, True, False, True]


async def test_a_server_that_forgot_is_agreed_with_anew_and_resumed_again(
    authority: Authority, trusting: ssl.SSLContext
) -> None:
    behaviour, first, second = (
        Resumption(),
        *(authority.server("127.0.0.1") for _ in range(2)),
    )
    async with webhook_sink(tls=trusting) as sink:
        async with receiving(behaviour, tls=first) as receiver:
            shipment = webhook_shipment(f"https://127.0.0.1:{receiver.port}/")
            await sink.send(shipment)
        async with receiving(behaviour, tls=second, port=receiver.port):
            await sink.send(shipment)
            await sink.send(shipment)
    assert behaviour.resumed == [False, False, True]


def agreed(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLObject:
    """Shake hands in memory, and read what the server says first: its tickets come with it."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=NAME)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    with suppress(ssl.SSLWantReadError):
        ours.do_handshake()
    with suppress(ssl.SSLWantReadError):
        theirs.do_handshake()
    ours.do_handshake()
    theirs.do_handshake()
    theirs.write(b"ready")
    assert ours.read(5) == b"ready"
    return ours


def test_a_certificate_is_verified_anew_after_an_hour(
    authority: Authority, trusting: ssl.SSLContext
) -> None:
    sessions, origin, server = (
        TlsSessions(trusting),
        Origin("https", NAME, 443),
        authority.server(NAME),
    )
    sessions.keep(origin, agreed(trusting, server), since=0.0, now=1.0)

    again = agreed(sessions.context_for(origin, 3_600.0), server)
    sessions.keep(origin, again, since=3_600.0, now=3_601.0)  # its certificate was not looked at

    assert again.session_reused
    assert sessions.context_for(origin, 3_602.0) is trusting


def test_sessions_are_bounded(authority: Authority, trusting: ssl.SSLContext) -> None:
    sessions, verified = TlsSessions(trusting), agreed(trusting, authority.server(NAME))
    origins = [Origin("https", NAME, port) for port in range(1, 2_050)]
    for origin in origins:
        sessions.keep(origin, verified, since=0.0, now=1.0)

    kept = [sessions.context_for(origin, 1.0) is not trusting for origin in origins]

    assert kept == [False] + [True] * 2_048
