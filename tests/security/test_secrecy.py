"""A service with marked secrets, from start to stop, with failures; every byte of it is searched.

What it printed and logged at the level DEBUG, what it answered, its metrics and its stream, every
row of the database in any disguise, and Postgres's own log: no mark is where it may not be.
"""

import asyncio
import contextlib
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from factories import PBX, Json, a_queue, a_webhook, an_event
from hookline.db.embedded import EmbeddedPostgres
from hookline.domain.ids import new_uuid
from hookline.security.secrets import generate_key
from support.marks import LeakSearch, mark
from support.places import passable_folder
from support.postgres_clients import connection
from support.receivers import Exchange, Receiver, answering, receiving, status
from support.service import PATIENCE, Service, Services, eventually, services
from support.service_output import NOWHERE, RecordedService


@pytest.fixture
async def server() -> AsyncIterator[tuple[EmbeddedPostgres, Path]]:
    """A Postgres of this test's own, to be stopped and started."""
    with passable_folder() as folder:
        opened = EmbeddedPostgres(folder / "data", system_dir=folder / "system_dir")
        yield opened, folder
        await opened.stop()


@pytest.fixture
async def recorded(server: tuple[EmbeddedPostgres, Path]) -> RecordedService:
    return RecordedService(await server[0].start())


@pytest.fixture
async def starter(recorded: RecordedService, tmp_path: Path) -> AsyncIterator[Services]:
    async with services(tmp_path, **recorded.settings) as opened:
        opened.admin_key = recorded.marks["admin"]
        code, out, err = await opened.terminal.run("migrate", **opened.settings)
        assert code == 0, err
        recorded.leaks.search("migrate", out + err)
        yield opened


async def test_marked_secrets_turn_up_nowhere(
    recorded: RecordedService, starter: Services, server: tuple[EmbeddedPostgres, Path]
) -> None:
    await under_the_old_key(recorded, starter)
    service = await starter.start(ENCRYPTION_KEYS=ring(recorded))
    recorded.listen(service)
    async with receiving() as receiver, streaming(recorded, service):
        await deliveries(recorded, service, receiver)
        await failed_targets(recorded, service)
        await bad_requests(recorded, service)
        await broken_requests(recorded, service)
        await commands(recorded, starter)
        await a_fault_of_ours(recorded, service)
        await database_away(recorded, service, server[0])
    await service.stop()
    await behind_a_dead_proxy(recorded, starter)
    await refused_starts(recorded, starter)
    await recorded.search_everything_said()
    await recorded.search_database()
    for file in server[1].rglob("*.log"):
        recorded.leaks.search("Postgres's log", file.read_text(errors="replace"))
    assert recorded.leaks.found == set()
    assert recorded.leaks.searched > 100_000


def ring(recorded: RecordedService) -> str:
    return f"{recorded.marks['encryption']},{recorded.marks['old_encryption']}"


async def under_the_old_key(recorded: RecordedService, starter: Services) -> None:
    """Make something that an older encryption key encrypts."""
    service = await starter.start(ENCRYPTION_KEYS=recorded.marks["old_encryption"])
    recorded.listen(service)
    await recorded.an_integration(service, NOWHERE)
    await service.stop()


async def deliveries(recorded: RecordedService, service: Service, receiver: Receiver) -> None:
    """Deliver, rotate, deliver again, test, read everything, as users do."""
    made = await recorded.an_integration(service, f"http://127.0.0.1:{receiver.port}")
    path = f"/v1/integrations/{made['id']}"
    await arrived(recorded, service)
    rotated = (await service.api.post(f"{path}/rotate-secret", {"gracePeriodHours": 1})).json()
    recorded.leaks.add(rotated=rotated["secret"])
    assert (await service.api.get(f"{path}/secret")).json()["secret"] == rotated["secret"]
    await arrived(recorded, service)
    tested = await service.api.post(f"{path}/test", {"type": "call:completed"})
    assert tested.json()["attempt"]["outcome"] == "delivered"
    changes = {"name": "Other", "transmission": {"headers": {"X-More": recorded.marks["header"]}}}
    assert (await service.api.patch(path, changes)).status_code == 200
    for read in (path, "/v1/integrations", "/v1/events", "/v1/deliveries", "/readyz", "/metrics"):
        await service.api.get(read)
    receiver.behaviour = status_410
    await arrived(recorded, service)
    assert recorded.marks["header"] in receiver.requests[0].headers.values()
    assert recorded.marks["url"] in receiver.requests[0].line


async def status_410(exchange: Exchange) -> None:
    await exchange.say(status(410))


async def arrived(recorded: RecordedService, service: Service) -> None:
    """Send an event with a mark inside and wait until it has got wherever it goes."""
    event = an_event(id=str(new_uuid()), data={"text": recorded.marks["content"]})
    await service.settled((await service.send(event))["eventId"])


async def failed_targets(recorded: RecordedService, service: Service) -> None:
    """Let deliveries fail in all ways: refused, unresolved, forbidden, TLS, AWS away."""
    async with receiving(answering(b"no HTTP at all")) as receiver:
        targets = [
            NOWHERE,
            f"http://127.0.0.1:{receiver.port}",
            f"https://127.0.0.1:{receiver.port}",
            "https://nowhere.invalid",
        ]
        for target in targets:
            made = await recorded.an_integration(service, target)
            test = {"type": "call:completed"}
            await service.api.post(f"/v1/integrations/{made['id']}/test", test)
        queue = a_queue()
        queue["transmission"]["secretAccessKey"] = recorded.marks["aws"]
        made = (await service.api.post("/v1/integrations", queue)).json()
        await service.api.post(f"/v1/integrations/{made['id']}/test", {"type": "call:completed"})
        await arrived(recorded, service)
    await service.api.delete(f"/v1/integrations/{made['id']}")


async def bad_requests(recorded: RecordedService, service: Service) -> None:
    """Put secrets where they do not belong: every wrong field, header, parameter and body."""
    wrong = recorded.marks["misplaced"]
    secret = {
        "type": "AWS_SQS",
        "url": wrong,
        "accessKeyId": [wrong],
        "secretAccessKey": {"a": wrong},
    }
    for document in (
        {"transmission": secret, "events": {"call": [wrong]}, "name": {"x": wrong}, "pbx": [wrong]},
        {"transmission": {"type": wrong, "url": f"https://user:{wrong}@a.example/"}},
        {"transmission": {"type": "WEBHOOK", "url": f"https://user:{wrong}@a.example/"}},
        a_webhook(url=f"https://127.0.0.1.nip/{wrong}", headers={"X-A": f"{wrong}\r\n"}),
        a_webhook(enabled=wrong, maxInFlight=wrong, filter=wrong, rateLimit=wrong),
        [wrong],
    ):
        for method, path in (
            ("POST", "/v1/integrations"),
            ("POST", "/v1/events"),
            ("PUT", f"/v1/pbxs/{PBX}"),
            ("POST", "/v1/events/batch"),
        ):
            answer = await service.api.request(method, path, json=document)
            assert answer.status_code in {202, 400, 415, 422}
    events = [an_event(pbx=[wrong], time=wrong, company={"a": wrong}), wrong]
    await service.api.post("/v1/events/batch", {"events": events})
    for query in ("cursor", "limit", "type", "pbx", "since", "status", "enabled"):
        for path in ("integrations", "events", "deliveries"):
            await service.api.get(f"/v1/{path}", params={query: wrong * 3})
    for header in (f"Bearer {recorded.marks['lost']}", f"Bearer {wrong}", f"Basic {wrong}", wrong):
        answer = await service.api.get("/v1/events", key=None, headers={"Authorization": header})
        assert answer.status_code == 401


async def broken_requests(recorded: RecordedService, service: Service) -> None:
    """Send what is no request, or none that is finished, straight to the socket."""
    wrong = recorded.marks["misplaced"].encode()
    authorization = f"authorization: Bearer {recorded.marks['admin']}".encode()
    for sent in (
        wrong + b"\r\n\r\n",
        b"GET /%b HTTP/9.9\r\n%b\r\n\r\n" % (wrong, authorization),
        b"GET /v1/events HTTP/1.1\r\nhost: a\r\n%b\r\n bad\x00%b\r\n\r\n" % (authorization, wrong),
        b"GET /v1/events HTTP/1.1\r\nhost: a\r\n%b\r\nx: %b\r\n\r\n"
        % (authorization, wrong * 3000),
        b"POST /v1/events HTTP/1.1\r\nhost: a\r\n%b\r\ncontent-length: 99\r\n\r\n%b"
        % (authorization, wrong),
        b"POST /v1/events HTTP/1.1\r\nhost: a\r\n%b\r\ntransfer-encoding: chunked\r\n\r\n%b"
        % (authorization, wrong),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(service.url).port)
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                recorded.leaks.search(
                    "answer to no request", (await reader.read()).decode("latin-1")
                )
        writer.close()


async def commands(recorded: RecordedService, starter: Services) -> None:
    """Use the command line: keys come out of `create` alone, and encryption moves on."""
    made = ["keys", "create", "--role", "ingest", "--pbx", PBX, "--name", "Bound"]
    _, key, err = await starter.terminal.run(*made, **starter.settings)
    recorded.leaks.add(ingest=key.strip())
    outputs = [err]
    for arguments in (["keys", "list"], ["keys", "rotate-encryption"], ["settings"]):
        used = starter.settings | {"ENCRYPTION_KEYS": ring(recorded)}
        code, out, err = await starter.terminal.run(*arguments, **used)
        assert code == 0, err
        outputs += [out, err]
    recorded.leaks.search("the command line", "".join(outputs))


async def a_fault_of_ours(recorded: RecordedService, service: Service) -> None:
    """Take a table away under the service, so that statements with secrets in them fail."""
    async with connection(recorded.dsn) as client:
        await client.execute("alter table integrations rename column headers to gone")
        for answer in (
            await service.api.post("/v1/integrations", marked(recorded)),
            await service.api.get("/v1/integrations"),
        ):
            assert answer.status_code == 500
        await client.execute("alter table integrations rename column gone to headers")
        await client.execute("alter table integrations add constraint c check (name <> 'Taken')")
        answer = await service.api.post("/v1/integrations", marked(recorded) | {"name": "Taken"})
        assert answer.status_code == 500


def marked(recorded: RecordedService) -> Json:
    return a_webhook(
        url=f"{NOWHERE}/{recorded.marks['url']}", headers={"X": recorded.marks["header"]}
    )


async def database_away(
    recorded: RecordedService, service: Service, server: EmbeddedPostgres
) -> None:
    """Ask for everything while the database is away."""
    await server.stop()
    for path, document in (
        ("/v1/events", an_event(data={"text": recorded.marks["content"]})),
        ("/v1/integrations", marked(recorded)),
    ):
        assert (await service.api.post(path, document)).status_code == 503
    await service.api.get("/readyz")
    await server.start()
    await eventually(lambda: service.api.get("/readyz"), lambda ready: ready.status_code == 200)


async def behind_a_dead_proxy(recorded: RecordedService, starter: Services) -> None:
    proxy = f"http://user:{recorded.marks['proxy']}@127.0.0.1:1"
    service = await starter.start(EGRESS_PROXY=proxy, ENCRYPTION_KEYS=ring(recorded))
    recorded.listen(service)
    made = await recorded.an_integration(service, NOWHERE)
    test = {"type": "call:completed"}
    tested = await service.api.post(f"/v1/integrations/{made['id']}/test", test)
    assert tested.json()["attempt"]["error"] is not None
    await service.stop()


async def refused_starts(recorded: RecordedService, starter: Services) -> None:
    """Get settings wrong, with secrets in them."""
    wrong = recorded.marks["misplaced"]
    for settings in (
        {"ADMIN_KEY": wrong},
        {"ENCRYPTION_KEYS": f"{recorded.marks['encryption']},{wrong}"},
        {"DATABASE_URL": f"mysql://user:{wrong}@127.0.0.1/x"},
        {"DATABASE_URL": f"postgresql://user:{recorded.marks['database']}@127.0.0.1:1/x"},
        {"EGRESS_PROXY": wrong},
        {"CORS_ORIGINS": f"https://a.example/?{wrong}"},
    ):
        code, out, err = await starter.terminal.run("serve", **starter.settings | settings)
        assert code != 0
        recorded.leaks.search(f"a start with wrong {[*settings]}", out + err)


@contextlib.asynccontextmanager
async def streaming(recorded: RecordedService, service: Service) -> AsyncIterator[None]:
    """Listen to the stream, where there is one, for the time of the block."""
    heard = bytearray()

    async def listen() -> None:
        key = {"Authorization": f"Bearer {recorded.marks['admin']}"}
        async with (
            httpx.AsyncClient(base_url=service.url, headers=key, timeout=None) as client,  # noqa: S113  # it has no end
            client.stream("GET", "/v1/stream") as answer,
        ):
            with contextlib.suppress(httpx.TransportError):
                async for part in answer.aiter_bytes():
                    heard.extend(part)

    task = asyncio.create_task(listen())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        recorded.leaks.search("the stream", heard.decode(errors="replace"))


async def test_the_hunt_finds_what_is_there_in_any_disguise() -> None:
    leaks = LeakSearch()
    key, secret = generate_key(), mark("found")
    leaks.add(key=key, secret=secret)
    for text in (
        f"... {secret.upper()} ...",
        f"x{secret.encode().hex()}",
        *(b64encode(before + secret.encode() + b"after").decode() for before in (b"", b"1", b"12")),
    ):
        leaks.found.clear()
        leaks.search("here", text)
        assert leaks.found == {("secret", "here")}
    leaks.found.clear()
    leaks.search("here", b64decode(key).hex())
    assert leaks.found == {("key", "here")}
    leaks.found.clear()
    leaks.search("here", secret, allowed={"secret"})
    leaks.search("here", secret[:-2])
    assert leaks.found == set()
