"""TLS that breaks right behind a status line: the status stands, at the real process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from factories import a_webhook, an_event
from support.broken_tls import Answer, BrokenTls, breaking_tls
from support.certificates import Authority
from support.databases import Databases
from support.service import Service, services

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
ALERT = b"\x15\x03\x03\x00\x02\x02\x50"  # internal error, in the clear

DELIVERED: dict[str, Answer] = {
    "a record with a wrong MAC": lambda tls: tls.record(OK) + tls.spoilt(b"hello"),
    "the same in the headers": lambda tls: tls.record(OK[:30]) + tls.spoilt(OK[30:]),
    "the same behind the code": lambda tls: tls.record(OK[:12]) + tls.spoilt(OK[12:]),
    "an alert": lambda tls: tls.record(OK) + ALERT,
    "no record at all": lambda tls: tls.record(OK) + b"Internal Server Error" * 9,
    "a record that is too long": lambda tls: tls.record(OK) + b"\x17\x03\x03\xff\xff" + bytes(99),
    "half a record": lambda tls: tls.record(OK) + tls.record(b"hello")[:-3],
    "no close_notify": lambda tls: tls.record(b"HTTP/1.1 200 OK\r\n\r\nhello"),
}
RETRIED: dict[str, tuple[Answer, str]] = {
    "half a code": (lambda tls: tls.record(OK[:11]) + tls.spoilt(OK[11:]), "reset"),
    "nothing but a wrong MAC": (lambda tls: tls.spoilt(OK), "tls"),
    "another status": (lambda tls: tls.record(b"HTTP/1.1 503 \r\n") + ALERT, "status"),
}


@pytest.fixture(scope="module")
async def receiver(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[BrokenTls, Path]]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    context = authority.server("127.0.0.1")
    async with breaking_tls(context, lambda tls: tls.record(OK)) as opened:
        yield opened, authority.file


@pytest.fixture(scope="module")
async def service(
    tmp_path_factory: pytest.TempPathFactory,
    databases: Databases,
    receiver: tuple[BrokenTls, Path],
) -> AsyncIterator[Service]:
    broken, authority = receiver
    folder = tmp_path_factory.mktemp("tls")
    settings = {"EGRESS_CA_FILE": str(authority), "RETRY_DELAYS": "none"}
    async with databases.migrated() as dsn, services(folder, DATABASE_URL=dsn) as starter:
        started = await starter.start(**settings)
        url = f"https://127.0.0.1:{broken.port}/hook"
        created = await started.api.post("/v1/integrations", a_webhook(url=url))
        assert created.status_code == 201, created.text
        yield started


@pytest.mark.parametrize("name", DELIVERED)
async def test_a_status_stands_whatever_tls_breaks_behind_it(
    service: Service, receiver: tuple[BrokenTls, Path], name: str
) -> None:
    broken, _ = receiver
    broken.answer = DELIVERED[name]
    sent = await service.send(an_event(id=name))
    delivery = await service.settled_delivery(sent["eventId"])
    [attempt] = delivery["attempts"]
    assert (delivery["status"], attempt["statusCode"]) == ("delivered", 200), attempt
    assert attempt["responseDefect"] == (None if name == "no close_notify" else "truncated")


@pytest.mark.parametrize("name", RETRIED)
async def test_without_a_code_or_with_another_one_it_is_no_success(
    service: Service, receiver: tuple[BrokenTls, Path], name: str
) -> None:
    broken, _ = receiver
    broken.answer, error = RETRIED[name]
    sent = await service.send(an_event(id=name))
    delivery = await service.settled_delivery(sent["eventId"])
    assert (delivery["status"], delivery["attempts"][-1]["error"]) == ("failed", error)
