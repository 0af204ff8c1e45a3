"""Requests as odd clients and proxies send them, at the real server: each has a clear answer."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from itertools import combinations_with_replacement
from urllib.parse import quote

import pytest

from factories import an_event
from hookline.settings.model import Settings
from support.databases import Databases
from support.service import services
from support.wire import SOON, Wire, in_chunks, with_length

EVENT = json.dumps(an_event()).encode()
BATCH = b'{"events":[%b]}' % EVENT
MARK = b"\xef\xbb\xbf"  # the byte order mark of UTF-8
SEND, SEND_BATCH = b"POST /v1/events HTTP/1.1", b"POST /v1/events/batch HTTP/1.1"
TRY = b"POST /v1/filters/try HTTP/1.1"
ALIVE = b"GET /livez HTTP/1.1"
H2C = (b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAMAAABk")
ORIGIN = "https://manager.example.com"
OURS = re.compile(r"(\w+: )?[A-Z].*[.]")
PARSERS_OWN = re.compile(r"Expect(ed|ing) |encountered|llhttp|HPE_|codec|start byte")


@pytest.fixture(scope="module")
async def wire(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> AsyncIterator[Wire]:
    folder = tmp_path_factory.mktemp("odd")
    async with databases.migrated() as dsn, services(folder, DATABASE_URL=dsn) as starter:
        service = await starter.start(CORS_ORIGINS=ORIGIN, KEEP_ALIVE_TIMEOUT="1")
        yield Wire(service.url, starter.admin_key)


TAKEN = {
    "in chunks": (SEND, in_chunks(EVENT[:7], EVENT[7:])),
    "chunked in capitals": (SEND, in_chunks(EVENT).replace(b"chunked", b"CHUNKED")),
    "a chunk extension": (SEND, in_chunks(EVENT, extension=b';a=b;c="d;e"')),
    "a padded chunk size": (SEND, in_chunks(EVENT, extension=b"  ")),
    "trailers": (SEND, in_chunks(EVENT, trailers=b"authorization: none\r\nx-b: 2\r\n")),
    "an identity coding": (SEND, b"content-encoding: identity\r\n" + with_length(EVENT)),
    "a length with zeros": (SEND, b"content-length: 000%d\r\n\r\n%b" % (len(EVENT), EVENT)),
    "a whole URL": (b"POST http://a.example/v1/events HTTP/1.1", with_length(EVENT)),
    "an expectation": (SEND, b"expect: 100-continue\r\n" + with_length(EVENT)),
    "a header in Latin-1": (SEND, b"x-a: \xe4\r\n" + with_length(EVENT)),
    "line ends in front": (b"\r\n\r\n" + SEND, with_length(EVENT)),
    "the last of two names": (SEND, with_length(b'{"id": "other",' + EVENT[1:])),
}


@pytest.mark.parametrize(("line", "rest"), TAKEN.values(), ids=TAKEN)
async def test_what_is_odd_and_right_is_taken(wire: Wire, line: bytes, rest: bytes) -> None:
    *before, answer = await wire.ask(wire.head(line) + rest)
    assert answer.status == 202, answer.body
    assert [each.status for each in before] == [100] * (b"expect" in rest)


@pytest.mark.parametrize("serial", ["a/b", "/", "a%2Fb", "a?b#c", "a b", "\N{SNOWMAN};,~", "%"])
async def test_whatever_a_pbx_is_called_has_an_address(wire: Wire, serial: str) -> None:
    path = f"/v1/pbxs/{quote(serial, safe='')}".encode()
    record = with_length(b'{"company": "it_w000001", "license": "x-bees"}')
    for method, rest, status in (
        (b"GET", b"\r\n", 404),
        (b"PUT", record, 200),
        (b"GET", b"\r\n", 200),
        (b"DELETE", b"\r\n", 204),
    ):
        [answer] = await wire.ask(wire.head(b"%b %b HTTP/1.1" % (method, path)) + rest)
        assert answer.status == status, answer.body
        assert status != 200 or answer.json()["pbx"] == serial


@pytest.mark.parametrize("path", [b"/v1/pbxs/", b"/v1/pbxs/a/", b"/v1/pbxs/a/b", b"/v1/pbxs//"])
async def test_a_slash_that_is_sent_as_one_is_no_part_of_a_serial(wire: Wire, path: bytes) -> None:
    [answer] = await wire.ask(wire.head(b"GET %b HTTP/1.1" % path) + b"\r\n")
    assert (answer.status, b"nothing at this address" in answer.body) == (404, True)


RETRY = b"POST /v1/deliveries/01a21a49-2c86-714b-a65a-0dda7bf3e67e/retry HTTP/1.1"
CANCEL = b"POST /v1/replays/01a21a49-2c86-714b-a65a-0dda7bf3e67e/cancel HTTP/1.1"


@pytest.mark.parametrize("line", [RETRY, CANCEL], ids=["retry", "cancel"])
async def test_a_post_that_needs_no_body_refuses_what_it_would_ignore(
    wire: Wire, line: bytes
) -> None:
    for body, status in (
        (with_length(b""), 404),
        (with_length(b"{}"), 404),
        (in_chunks(b""), 404),
        (with_length(b'{"delay": 5}'), 422),
        (with_length(b"[1]"), 400),
        (with_length(b"{"), 400),
        (b"content-encoding: gzip\r\n" + with_length(b"x"), 415),
        (with_length(b" " * (1024 * 1024 + 1)), 413),
    ):
        [answer] = await wire.ask(wire.head(line) + body)
        assert answer.status == status, answer.body
        if status == 422:
            [problem] = json.loads(answer.body)["errors"]
            assert problem["path"] == "delay"


REFUSED = {
    "a byte order mark": (SEND, with_length(MARK + EVENT), 400, "byte order mark"),
    "in a batch": (SEND_BATCH, with_length(MARK + BATCH), 400, "byte order mark"),
    "gzip and chunked": (SEND, in_chunks(EVENT).replace(b": c", b": gzip, c"), 501, "chunked"),
    "gzip alone": (SEND, in_chunks(EVENT).replace(b"chunked", b"gzip"), 501, "chunked"),
    "chunked twice": (SEND, in_chunks(EVENT).replace(b"chunked", b"chunked, chunked"), 400, "once"),
    "a content coding": (SEND, b"content-encoding: gzip\r\n" + with_length(b"x"), 415, "Encoding"),
    "a method in lower case": (b"post /v1/events HTTP/1.1", with_length(EVENT), 501, "capitals"),
    "no method": (b"BREW /v1/events HTTP/1.1", with_length(EVENT), 501, "capitals"),
    "a method for others": (b"PROPFIND /v1/events HTTP/1.1", b"\r\n", 405, "GET, HEAD, POST"),
    "a tunnel": (b"CONNECT a:443 HTTP/1.1", b"\r\n", 405, "proxy"),
    "an address that is none": (b"GET livez HTTP/1.1", b"\r\n", 400, "path"),
    "a space in the address": (b"GET /live z HTTP/1.1", b"\r\n", 400, "begins with a line"),
    "raw UTF-8 in the address": (b"GET /v1/\xc3\xa4 HTTP/1.1", b"\r\n", 400, "percent"),
    "a line end in the address": (b"GET /v1/events%0a HTTP/1.1", b"\r\n", 404, "nothing at"),
    "an impossible port": (b"GET http://a:99999/ HTTP/1.1", b"\r\n", 400, "URL"),
    "an endless address": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1", b"\r\n", 414, "32 KiB"),
    "endless headers": (ALIVE, b"x-a: %b\r\n\r\n" % (b"a" * 300_000), 431, "64 KiB"),
    "a future version": (b"GET /livez HTTP/2.0", b"\r\n", 505, "HTTP/1.1"),
    "an impossible version": (b"GET /livez HTTP/1.2", b"\r\n", 505, "HTTP/1.1"),
    "two hosts": (ALIVE, b"host: other\r\n\r\n", 400, "Host"),
    "two keys": (SEND, b"authorization: Bearer hk_a\r\n" + with_length(EVENT), 401, "once"),
    "two keys for a batch": (SEND_BATCH, b"authorization: a\r\n" + with_length(BATCH), 401, "once"),
    "a signed length": (SEND, b"content-length: +5\r\n\r\n12345", 400, "Content-Length"),
    "a length in a list": (SEND, b"content-length: 5, 5\r\n\r\n12345", 400, "Content-Length"),
    "an empty length": (SEND, b"content-length:\r\n\r\n", 400, "Content-Length"),
    "a length beyond all": (SEND, b"content-length: %d\r\n\r\n" % 2**63, 413, "1,048,576"),
    "two lengths": (SEND, b"content-length: 4\r\n" + with_length(EVENT), 400, "one way"),
    "a length and chunks": (SEND, b"content-length: 5\r\n" + in_chunks(EVENT), 400, "one way"),
    "a chunk of -1": (SEND, in_chunks().replace(b"0\r\n", b"-1\r\n"), 400, "chunk"),
    "a chunk of 0x5": (SEND, in_chunks().replace(b"0\r\n", b"0x5\r\n"), 400, "chunk"),
    "a chunk beyond all": (SEND, in_chunks().replace(b"0\r\n", b"f" * 17 + b"\r\n"), 400, "chunk"),
    "a folded header": (SEND, b"x-a: one\r\n two\r\n" + with_length(EVENT), 400, "next line"),
    "a header without a colon": (SEND, b"xa\r\n" + with_length(EVENT), 400, "colon"),
    "a header with NUL": (SEND, b"x-a: \0\r\n" + with_length(EVENT), 400, "header"),
    "no body": (SEND, b"\r\n", 400, "empty"),
    "an empty body": (SEND, with_length(b""), 400, "empty"),
    "an empty body in chunks": (SEND, in_chunks(), 400, "empty"),
    "an empty batch": (SEND_BATCH, with_length(b" "), 400, "empty"),
    "no UTF-8": (SEND, with_length(EVENT.replace(b"call", b"c\xffll")), 400, "UTF-8"),
    "UTF-16": (SEND, with_length(EVENT.decode().encode("utf-16")), 400, "UTF-16"),
    "UTF-16 without a mark": (SEND, with_length(EVENT.decode().encode("utf-16le")), 400, "UTF-16"),
    "half an event": (SEND, with_length(EVENT[:40]), 400, "line 1, column"),
    "half a batch": (SEND_BATCH, with_length(BATCH[:-1]), 400, "byte"),
    "a second list": (SEND_BATCH, with_length(BATCH[:-1] + b',"events":[]}'), 400, "second time"),
    "a key of no UTF-8": (SEND_BATCH, with_length(b'{"\xff":1}'), 400, "UTF-8"),
    "an unknown member": (SEND_BATCH, with_length(b'{"pbx":"1",' + BATCH[1:]), 422, "pbx: "),
    "an unknown parameter": (b"POST /v1/events?p_b=1 HTTP/1.1", with_length(EVENT), 422, "p_b"),
    "a field of others": (TRY, with_length(b'{"filter":{},"pbx":"1"}'), 422, "pbx: There is no"),
    "1_0 for 10": (b"GET /v1/integrations?limit=1_0 HTTP/1.1", b"\r\n", 422, "limit"),
}


WITHOUT_HEADERS = {  # for the first line was refused
    *("a method in lower case", "no method", "an impossible version"),
    *("an address that is none", "a space in the address", "raw UTF-8 in the address"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_wrong_is_told_in_a_sentence(wire: Wire, name: str) -> None:
    line, rest, status, told = REFUSED[name]
    [answer] = await wire.ask(wire.head(line, b"origin: " + ORIGIN.encode()) + rest)
    problem = answer.json()
    assert (answer.status, problem["status"]) == (status, status), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in problem["detail"]
    assert OURS.fullmatch(problem["detail"]), problem["detail"]
    assert not PARSERS_OWN.search(problem["detail"]), problem["detail"]
    reader = None if name in WITHOUT_HEADERS else ORIGIN
    assert answer.headers.get("access-control-allow-origin") == reader


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        (b"GET /livez HTTP/1.1\r\n\r\n", 400, "Host"),
        (b"GET /livez\r\n\r\n", 505, "HTTP/1.1"),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(160), 400, "TLS"),
        (b"\x00\xff\r\n\r\n", 400, "begins with a line"),
        (b"GET /livez HTTP/1.1\nhost: a\n\n", 400, "CRLF"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1"),
    ],
)
async def test_what_is_hardly_http_is_told_so(
    wire: Wire, sent: bytes, status: int, told: str
) -> None:
    [answer] = await wire.ask(sent)
    assert (answer.status, told in answer.json()["detail"]) == (status, True), answer.body
    assert OURS.fullmatch(answer.json()["detail"])


@pytest.mark.parametrize("parts", [1, 2, 5])
async def test_a_body_behind_an_offer_to_upgrade_belongs_to_its_request(
    wire: Wire, parts: int
) -> None:
    offer = wire.head(SEND, *H2C, last=False)
    for body in (with_length(EVENT), in_chunks(EVENT)):
        sent = offer + body + wire.head(ALIVE) + b"\r\n"
        size = -(-len(sent) // parts)
        answers = await wire.ask(*(sent[at : at + size] for at in range(0, len(sent), size)))
        assert [each.status for each in answers] == [202, 200]


async def test_who_asks_first_is_told_before_the_body_is_sent(wire: Wire) -> None:
    large = wire.head(SEND, b"expect: 100-continue", b"content-length: 99999999", last=False)
    [answer] = await wire.ask(large + b"\r\n")
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    unauthenticated = Wire(f"http://127.0.0.1:{wire.port}", "hk_" + "x" * 43)
    [answer] = await unauthenticated.ask(
        unauthenticated.head(SEND, b"expect: 100-continue") + b"\r\n"
    )
    assert answer.status == 401
    old = wire.head(SEND.replace(b"1.1", b"1.0"), b"expect: 100-continue")
    assert [each.status for each in await wire.ask(old + with_length(EVENT))] == [202]


MOMENTS = (
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00%2B14:00", "1969-12-31T23:59:59Z"),
    *("1970-01-03T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00"),
)


async def test_the_first_and_the_last_moment_of_all_are_times_to_ask_for(wire: Wire) -> None:
    pairs = combinations_with_replacement(
        MOMENTS, 2
    )  # a period that ends before it begins is refused
    queries = [f"since={since}&until={until}" for since, until in pairs]
    requests = [
        wire.head(b"GET /v1/%b?%b HTTP/1.1" % (name, query.encode()), last=False) + b"\r\n"
        for name in (b"events", b"deliveries")
        for query in queries
    ]
    bodies = [
        (name, json.dumps(document | {field: moment.replace("%2B", "+")}).encode())
        for name, field, document in (
            (b"erasures", "before", {"pbx": "nowhere"}),
            (b"keys", "expiresAt", {"role": "ingest"}),
        )
        for moment in MOMENTS
    ]
    requests += [
        wire.head(b"POST /v1/%b HTTP/1.1" % name, last=False) + with_length(body)
        for name, body in bodies
    ]
    pipelined = b"".join(requests) + wire.head(ALIVE) + b"\r\n"  # at once: idle for 1 s is closed
    answers = await wire.ask(pipelined)
    assert len(answers) == len(requests) + 1
    assert {each.status for each in answers[: -len(bodies) - 1]} == {200}
    kinds = {each.status for each in answers[-len(bodies) - 1 : -1]}
    assert kinds == {201, 202, 422}, "an expiry in the past is none"


async def test_a_413_is_read_by_a_client_that_is_still_sending(wire: Wire) -> None:
    head = wire.head(SEND_BATCH, b"content-length: 33554432", last=False) + b"\r\n"
    [announced] = await wire.ask(head, *[b" " * 2**20] * 32)
    chunks = [b"%x\r\n%b\r\n" % (2**20, b" " * 2**20)] * 24
    head = wire.head(SEND_BATCH, b"transfer-encoding: chunked", last=False) + b"\r\n"
    [found_out] = await wire.ask(head, *chunks)
    for answer in (announced, found_out):
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert "16,777,216" in answer.json()["detail"]


async def test_an_idle_connection_is_kept_as_long_as_the_setting_says(wire: Wire) -> None:
    default = Settings.model_fields["keep_alive_timeout"].default
    assert default == 75, "proxies keep theirs for 60 seconds"
    request = wire.head(ALIVE, last=False) + b"\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
    async with asyncio.timeout(SOON):
        for _ in range(2):
            writer.write(request)
            await reader.readuntil(b'"alive"}')
        assert await reader.read() == b"", "the setting's second is over"
    writer.close()
