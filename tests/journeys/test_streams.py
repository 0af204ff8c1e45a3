"""Streams of deliveries as they end: from every process, for the right readers, without gaps."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from factories import COMPANY, PBX, Json, an_event
from support.databases import Databases
from support.event_stream import streaming
from support.receivers import Receiver, answering, receiving, status
from support.scraping import parsed
from support.service import Service, Services, eventually, services

pytestmark = pytest.mark.timeout(180)

OTHER_PBX = "000000000002"


@pytest.fixture(scope="module")
async def starter(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> AsyncIterator[Services]:
    folder = tmp_path_factory.mktemp("streams")
    async with databases.migrated() as dsn, services(folder, DATABASE_URL=dsn) as opened:
        yield opened


@pytest.fixture(scope="module")
async def engine(starter: Services) -> Service:
    """The process that delivers."""
    return await starter.start(RETRY_DELAYS="0.05", MAX_STREAMS="8")


@pytest.fixture(scope="module")
async def front(starter: Services, engine: Service) -> Service:  # noqa: ARG001
    """Another one, that only answers, beside the engine that it needs."""
    return await starter.start("--no-engine", MAX_STREAMS="8")


@pytest.fixture(scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture(scope="module")
async def integration(engine: Service, receiver: Receiver) -> str:
    return str((await engine.an_integration(receiver))["id"])


async def a_key(service: Service, **wanted: str) -> Json:
    answer = await service.api.post("/v1/keys", {"role": "manager", **wanted})
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def test_what_another_process_settled_comes_as_the_api_shows_it(
    front: Service, starter: Services, integration: str
) -> None:
    async with streaming(front.api.client, starter.admin_key) as stream:
        sent = await front.send(an_event(id="one"))
        told = await stream.next()
        assert told.data == await front.settled_delivery(sent["eventId"])
        assert (told.data["integrationId"], told.data["status"]) == (integration, "delivered")


async def test_a_delivery_comes_once_it_has_ended_with_all_its_attempts(
    engine: Service, starter: Services
) -> None:
    async with receiving(answering(status(503), status(503), status(400))) as broken:
        made = await engine.an_integration(broken, pbx=OTHER_PBX)
        query = f"integrationId={made['id']}"
        async with streaming(engine.api.client, starter.admin_key, query) as stream:
            await engine.send(an_event(pbx=OTHER_PBX))
            told = await stream.next()
            assert (told.data["status"], told.data["reason"]) == ("failed", "exhausted")
            assert [each["statusCode"] for each in told.data["attempts"]] == [503, 503]


async def test_a_break_is_resumed_without_a_gap_in_any_process(
    front: Service, engine: Service, starter: Services, integration: str
) -> None:
    key = starter.admin_key
    query = f"integrationId={integration}"
    async with streaming(front.api.client, key, query) as stream:
        start = stream.last_id
        first = await front.send(an_event(id="before the break"))
        told = await stream.next()
        assert told.data["eventId"] == first["eventId"]
    missed = [await front.send(an_event(id=f"missed {number}")) for number in range(3)]
    for each in missed:
        await front.settled(each["eventId"])
    for service in (front, engine):
        async with streaming(service.api.client, key, query, last_id=told.last_id) as stream:
            later = await front.send(an_event(id=f"later {service.url}"))
            found = [(await stream.next()).data["eventId"] for _ in missed]
            assert sorted(found) == sorted(each["eventId"] for each in missed)
            assert (await stream.next()).data["eventId"] == later["eventId"]
            missed.append(later)
    async with streaming(front.api.client, key, query, last_id=start) as stream:
        found = [(await stream.next()).data["eventId"] for _ in (first, *missed)]
        assert set(found) == {first["eventId"], *(each["eventId"] for each in missed)}


async def test_what_is_too_long_ago_is_said_to_be_and_the_stream_goes_on(
    front: Service, starter: Services
) -> None:
    async with streaming(front.api.client, starter.admin_key) as stream:
        moment, _, rest = stream.last_id.partition("-")
        old = f"{int(moment) - 301}-{rest}"
    async with streaming(front.api.client, starter.admin_key, last_id=old) as stream:
        assert "GET /v1/deliveries" in (await stream.next("missed")).data["detail"]
        await stream.until_comment()
        sent = await front.send(an_event(id="after a long time"))
        assert (await stream.next()).data["eventId"] == sent["eventId"]


@pytest.mark.parametrize("wrong", ["nonsense", "1-2-3", "1-2-3-4-5", "-1-2-3-4", "1" * 81])
async def test_an_id_that_no_stream_gave_is_refused(front: Service, wrong: str) -> None:
    answer = await front.api.get("/v1/stream", headers={"Last-Event-ID": wrong})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "Last-Event-ID"


async def test_a_reader_gets_its_own_and_what_it_asked_for(
    front: Service, engine: Service, starter: Services, receiver: Receiver, integration: str
) -> None:
    other = (await engine.an_integration(receiver, pbx=OTHER_PBX, company="it_w000002"))["id"]
    manager = (await a_key(front, pbx=PBX))["key"]
    company = (await a_key(front, company="it_w000002"))["key"]
    client = front.api.client
    async with (
        streaming(client, manager) as of_pbx,
        streaming(client, company) as of_company,
        streaming(client, starter.admin_key, f"pbx={OTHER_PBX}&type=call:start") as of_type,
    ):
        for pbx, kind in ((OTHER_PBX, "call:end"), (OTHER_PBX, "call:start"), (PBX, "call:start")):
            sent = await front.send(an_event(pbx=pbx, type=kind, company="it_w000002", id="scope"))
            await front.settled(sent["eventId"])
        assert (await of_pbx.next()).data["integrationId"] == integration
        seen = [await of_company.next() for _ in range(2)]
        assert {each.data["integrationId"] for each in seen} == {other}
        assert {each.data["type"] for each in seen} == {"call:end", "call:start"}
        assert (await of_type.next()).data["type"] == "call:start"
    for wanted in (f"integrationId={other}", "integrationId=nosuch"):
        answer = await front.api.get(f"/v1/stream?{wanted}", key=manager)
        assert answer.status_code == 404, "silence would tell nothing"


async def test_a_revoked_key_ends_its_streams_and_nobody_elses(
    front: Service, starter: Services, integration: str
) -> None:
    made = await a_key(front, pbx=PBX)
    async with (
        streaming(front.api.client, made["key"]) as theirs,
        streaming(front.api.client, starter.admin_key) as ours,
    ):
        assert (await front.api.delete(f"/v1/keys/{made['id']}")).status_code == 204
        [told] = await theirs.rest()
        assert (told.name, told.data["reason"]) == ("closed", "key")
        sent = await front.send(an_event(id="still there"))
        assert (await ours.next()).data["eventId"] == sent["eventId"]
        assert integration


async def test_a_key_may_have_half_of_the_places(front: Service, starter: Services) -> None:
    client, key = front.api.client, (await a_key(front, pbx=PBX))["key"]
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(streaming(client, key))
        answer = await front.api.get("/v1/stream", key=key)
        assert answer.status_code == 429
        assert "4 streams" in answer.json()["detail"]
        async with streaming(client, starter.admin_key) as stream:
            assert stream.last_id


async def test_all_of_a_company_may_begin_at_once_beside_others(starter: Services) -> None:
    many = await starter.start("--no-engine", MAX_STREAMS="400")
    keys = [(await a_key(many, company=COMPANY))["key"] for _ in range(2)]
    host, _, port = many.url.removeprefix("http://").partition(":")

    async def first_line(number: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        stack.callback(writer.close)
        head = (
            f"GET /v1/stream HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {keys[number % 2]}"
        )
        writer.write(f"{head}\r\n\r\n".encode())
        return await reader.readline()

    async with AsyncExitStack() as stack:
        lines = await asyncio.gather(*(first_line(number) for number in range(200)))
        assert set(lines) == {b"HTTP/1.1 200 OK\r\n"}


async def test_a_reader_that_is_too_slow_is_told_so_and_closed(
    front: Service, starter: Services
) -> None:
    async with receiving(answering(status(200, body=b"x" * 4096))) as chatty:
        made = await front.an_integration(chatty, pbx="000000000003")
        sent = await front.send(an_event(pbx="000000000003"))
        delivery = await front.settled_delivery(sent["eventId"])
    key = (await a_key(front, pbx="000000000003"))["key"]
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)  # noqa: FBT003 - the socket's own
        host, _, port = front.url.removeprefix("http://").partition(":")
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, (host, int(port)))
        head = f"GET /v1/stream HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n"
        await loop.sock_sendall(slow, head.encode())
        read = bytearray()
        while b"\nid: " not in read:
            read += await loop.sock_recv(slow, 4096)
        database = await asyncpg.connect(starter.settings["DATABASE_URL"])
        try:
            await database.executemany(
                "insert into settlements (integrations, deliveries, codes)"
                " select array_agg($1::text), array_agg($2::uuid), array_agg(1 << 19)"
                " from generate_series(1, 500)",
                [(made["id"], delivery["id"])] * 4,
            )
        finally:
            await database.close()

        async def ended() -> float:
            text = (await front.api.get("/metrics")).text
            return parsed(text).value("hookline_streams_ended_total", reason="slow")

        await eventually(ended, bool)
        while part := await loop.sock_recv(slow, 65_536):
            read += part
            if read.endswith(b"0\r\n\r\n"):
                break
    assert read.rpartition(b"\nevent: ")[2].startswith(b'closed\ndata: {"reason":"slow"')


async def test_head_answers_with_the_head_alone(front: Service) -> None:
    answer = await front.api.request("HEAD", "/v1/stream")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_a_stop_ends_streams_at_once_and_tells_them(starter: Services) -> None:
    stopped = await starter.start("--no-engine", SHUTDOWN_GRACE="60")
    async with streaming(stopped.api.client, starter.admin_key) as stream:
        stopped.command.process.send_signal(signal.SIGTERM)
        [told] = await stream.rest()
        assert (told.name, told.data["reason"]) == ("closed", "stopping")
    assert await stopped.command.ends() == 0
