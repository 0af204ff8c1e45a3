"""TLS on the way out: what does not hold is refused before a byte is sent, and told apart."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from hookline.domain.deliveries import ErrorKind, TlsReason, Verdict
from hookline.errors import ConfigurationError
from hookline.security.egress.tls import client_tls
from sinks.contract import delivers, fails_as
from support.certificates import (
    Authority,
    asking_for_one,
    until_tls_1_1,
    without_a_common_cipher,
)
from support.receivers import OK, receiving
from support.webhook_shipments import Names, webhook_shipment, webhook_sink

NAME = "crm.example.com"
SHORT = 0.3  # seconds


BROKEN_TLS: dict[TlsReason, Callable[[Authority, Authority], ssl.SSLContext]] = {
    TlsReason.EXPIRED: lambda ours, _: ours.expired(NAME),
    TlsReason.NOT_YET_VALID: lambda ours, _: ours.not_yet_valid(NAME),
    TlsReason.WRONG_HOST: lambda ours, _: ours.server("other.example.com"),
    TlsReason.SELF_SIGNED: lambda _, unknown: unknown.self_signed(),
    TlsReason.UNKNOWN_ISSUER: lambda _, unknown: unknown.with_root(NAME),
    TlsReason.INCOMPLETE_CHAIN: lambda ours, _: ours.without_intermediate(NAME),
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
