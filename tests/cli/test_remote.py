"""Operators' commands against a running server; what they print, and their exit codes."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from factories import an_event
from hookline.cli import app
from hookline.cli.remote.history import _waits
from hookline.errors import NO_SUCH_ADDRESS
from hookline.security.keys import new_key
from support.databases import Databases
from support.receivers import Receiver, answering, receiving, status
from support.service import Service, services

PBX = "000000000001"


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """The tab-separated lines below the heading."""
        return [line.split("\t") for line in self.out.splitlines()[1:]]


Run = Callable[..., Awaitable[Ended]]


@dataclass(frozen=True, slots=True)
class There:
    """A server with one admin key."""

    service: Service
    key: str


@pytest.fixture(scope="module")
async def there(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> AsyncIterator[There]:
    folder = tmp_path_factory.mktemp("remote")
    async with databases.migrated() as dsn, services(folder, DATABASE_URL=dsn) as starter:
        yield There(await starter.start(RETRY_DELAYS="none"), starter.admin_key)


@pytest.fixture(scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def invoked(*arguments: str, **env: str) -> Ended:
    """Run a command in this process, beside the event loop."""
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def run(there: There) -> Run:
    async def ran(*arguments: str, key: str = "") -> Ended:
        settings = {"HOOKLINE_SERVER": there.service.url, "HOOKLINE_KEY": key or there.key}
        return await invoked(*arguments, **settings)

    return ran


async def created(run: Run, receiver: Receiver, *more: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{receiver.port}/hook"
    what = ("--url", url, "--pbx", PBX, "--name", "CRM", "-e", "call", *more, "--json")
    ended = await run("integrations", "create", *what)
    assert (ended.code, ended.err) == (0, "")
    made: dict[str, Any] = ended.json
    return made


async def test_integrations_are_created_listed_tested_and_switched(
    run: Run, receiver: Receiver
) -> None:
    made = await created(run, receiver, "-e", "analytics=call:completed,call:summary:completed")
    assert made["events"] == {
        "call": "all",
        "analytics": ["call:completed", "call:summary:completed"],
    }
    shown = await run("integrations", "show", made["id"])
    assert made["id"] in shown.out
    assert "call: all; analytics: call:completed" in shown.out
    [row] = [row for row in (await run("integrations", "list")).rows if row[0] == made["id"]]
    assert row[1:5] == ["CRM", PBX, "–", "WEBHOOK"]
    tested = await run("integrations", "test", made["id"], "call:completed")
    assert tested.code == 0
    assert "delivered" in tested.out
    off = await run("integrations", "disable", made["id"])
    assert off.out == f"{made['id']} is disabled.\n"
    disabled = await run("integrations", "list", "--disabled", "--json")
    assert made["id"] in [each["id"] for each in disabled.json]
    on = await run("integrations", "enable", made["id"], "--json")
    assert on.json["enabled"] is True


async def test_a_test_that_is_not_delivered_ends_with_1(run: Run, tmp_path: Path) -> None:
    document = {
        "pbx": PBX,
        "transmission": {"type": "WEBHOOK", "url": "http://127.0.0.1:9/hook"},
        "events": {"chat": "all"},
    }
    file = tmp_path / "new.json"
    file.write_text(json.dumps(document))
    made = await run("integrations", "create", "--file", str(file), "--json")
    tested = await run("integrations", "test", made.json["id"], "call:completed", "--json")
    assert tested.code == 1
    assert tested.json["attempt"]["error"] == "refused"


async def test_events_and_their_deliveries_are_found_shown_and_retried(
    run: Run, receiver: Receiver, there: There
) -> None:
    made = await created(run, receiver)
    call = f"call of {made['id']}"
    event = {
        "id": call,
        "pbx": PBX,
        "company": "it_w000001",
        "time": 1721836787753,
        "type": "call:start",
        "data": {},
    }
    sent = await there.service.send(event)
    await there.service.settled(sent["eventId"])

    [row] = (await run("events", "list", "--subject", call, "--since", "1h")).rows
    assert row[0] == sent["eventId"]
    assert row[2:] == ["call:start", PBX, "it_w000001", call]
    shown = await run("events", "show", sent["eventId"])
    assert "delivered" in shown.out
    listed = await run("deliveries", "list", "-i", made["id"], "--status", "delivered", "--json")
    [delivery] = listed.json
    again = await run("deliveries", "retry", delivery["id"])
    assert again.code == 0
    await there.service.settled(sent["eventId"])
    shown = await run("deliveries", "show", delivery["id"], "--json")
    assert [attempt["outcome"] for attempt in shown.json["attempts"]] == ["delivered"] * 2
    told = await run("deliveries", "show", delivery["id"])
    assert "200" in told.out


async def test_an_event_says_what_each_delivery_of_it_waits_for(run: Run, there: There) -> None:
    pbx = "000000000077"
    async with receiving(answering(status(404))) as refusing:
        await there.service.an_integration(refusing, pbx=pbx, name="Refusing")
        await there.service.an_integration(refusing, pbx=pbx, name="Off", enabled=False)
        sent = await there.service.send(an_event(pbx=pbx))
        await there.service.settled(sent["eventId"])
    shown = await run("events", "show", sent["eventId"])
    heading, refused, off = (line.split("\t") for line in shown.out.splitlines()[-3:])
    assert heading[-3:] == ["attempts", "last answer", "waits"]
    assert refused[1:3] == ["failed", "rejected"]
    assert refused[-3:] == ["1", "404", "–"]
    assert off[1:] == ["skipped", "disabled", "–", "–", "–", "–"]


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ({}, "being attempted"),
        ({"nextAttemptAt": "2026-01-31T12:00:05.1Z"}, "until 2026-01-31 12:00:05Z"),
        ({"behind": "0190", "nextAttemptAt": "2026-01-31T12:00:05Z"}, "behind 0190"),
        (
            {
                "paused": True,
                "pausedSince": "2026-01-31T12:00:05Z",
                "nextProbeAt": "2026-01-31T12:00:35Z",
                "nextAttemptAt": "2026-01-31T12:00:00Z",
            },
            "paused since 2026-01-31 12:00:05Z, tried next 2026-01-31 12:00:35Z",
        ),
    ],
)
def test_what_a_pending_delivery_waits_for_is_said(detail: dict[str, Any], told: str) -> None:
    of_none = {"paused": False, "pausedSince": None, "nextProbeAt": None, "behind": None}
    assert _waits({**of_none, "nextAttemptAt": None, **detail}) == told


async def test_a_replay_is_counted_started_followed_and_listed(
    run: Run, receiver: Receiver, there: There
) -> None:
    made = (await created(run, receiver, "--idempotency-key", "replayed"))["id"]
    for number in range(3):
        call = {"id": f"{made} {number}", "pbx": PBX, "company": "it_w000001", "time": number}
        sent = await there.service.send(call | {"type": "call:start", "data": {}})
        await there.service.settled(sent["eventId"])

    counted = await run("replay", "start", made, "--since", "1h", "--dry-run", "--json")
    assert (counted.code, counted.json["total"]) == (0, 3)
    none = await run("replay", "start", made, "--since", "1h", "--status", "failed", "--dry-run")
    assert "deliveries  0" in none.out
    ended = await run("replay", "start", made, "--since", "1h", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert (ended.json["state"], ended.json["total"], ended.json["queued"]) == ("done", 3, 3)
    [row] = (await run("replay", "list", made)).rows
    assert row[0] == ended.json["id"]
    assert row[3] == "done"
    shown = await run("replay", "show", "--wait", ended.json["id"])
    assert (shown.code, "queued" in shown.out) == (0, True)
    again = await run("replay", "cancel", ended.json["id"], "--json")
    assert again.json["state"] == "done"
    wrong = await run("replay", "start", made, "--since", "yesterday")
    assert wrong.code == 2
    assert "since: Send a timestamp" in wrong.err


async def test_lists_go_on_page_by_page_up_to_the_limit(run: Run) -> None:
    for number in range(3):
        put = ("--company", "it_pages", "--license", "x-bees")
        assert (await run("pbxs", "put", f"page-{number}", *put)).code == 0
    three = await run("pbxs", "list", "--company", "it_pages", "-n", "3", "--json")
    assert [each["pbx"] for each in three.json] == ["page-2", "page-1", "page-0"]
    two = await run("pbxs", "list", "--search", "PAGES", "--limit", "2")
    assert [row[0] for row in two.rows] == ["page-2", "page-1"]
    assert {len(line.split("\t")) for line in two.out.splitlines()} == {6}  # the heading too
    assert (await run("pbxs", "list", "--company", "it_nobody", "--json")).json == []


async def test_pbxs_are_described_shown_and_deleted(run: Run) -> None:
    described = ("--company", "it_w1", "--license", "collaboration", "--presence-events")
    put = await run("pbxs", "put", "a b", *described, "--retention-days", "7", "--json")
    assert (put.json["presenceEvents"], put.json["retentionDays"]) == (True, 7)
    assert "7 days" in (await run("pbxs", "show", "a b")).out
    assert "it_w1" in (await run("pbxs", "show", "a b")).out
    deleted = await run("pbxs", "delete", "a b")
    assert (deleted.code, deleted.out) == (0, "Deleted the record of a b.\n")
    assert (await run("pbxs", "show", "a b")).code == 3


async def test_keys_are_made_listed_and_revoked_over_the_api(run: Run, there: There) -> None:
    at = ("--server", there.service.url)
    bound = ("--role", "manager", "--pbx", PBX, "--name", "remote", "--expires-in", "1h")
    key = (await run("keys", "create", *bound, *at)).out.strip()
    [row] = [row for row in (await run("keys", "list", *at)).rows if row[4] == "remote"]
    assert key.startswith(row[1].removesuffix("…"))
    assert row[3] == f"pbx {PBX}"
    assert row[5].startswith("until ")

    assert (await run("integrations", "list", key=key)).code == 0
    assert (await run("status", key=key)).code == 4
    assert (await run("keys", "revoke", row[0], *at)).out == f"Revoked {row[0]}.\n"
    assert (await run("integrations", "list", key=key)).code == 4
    listed = (await run("keys", "list", *at, "--json")).json
    [first] = [each["id"] for each in listed if each["name"] == "first admin key"]
    refused = await run("keys", "revoke", first, *at)
    assert refused.code == 1
    assert "HOOKLINE_ADMIN_KEY" in refused.err


async def test_status_shows_the_state_of_the_service(run: Run) -> None:
    told = await run("status")
    assert told.code == 0
    assert "0 of at most 5,000,000" in told.out
    assert "PostgreSQL" in told.out
    assert (await run("status", "--json")).json["engines"][0]["api"] is True


async def test_status_stays_up_to_date_on_a_terminal_until_it_is_interrupted(
    there: There,
) -> None:
    screen, terminal = pty.openpty()
    settings = {"HOOKLINE_SERVER": there.service.url, "HOOKLINE_KEY": there.key}
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("hookline"),
        *("status", "--every", "1"),
        env=os.environ | settings | {"TERM": "xterm", "COLUMNS": "120"},
        stdout=terminal,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(terminal)
    drawn = b""
    async with asyncio.timeout(200):
        while drawn.count(b"Engines") < 2:
            drawn += await asyncio.to_thread(os.read, screen, 65_536)
        process.send_signal(signal.SIGINT)
        reading = asyncio.create_task(_read_to_the_end(screen))
        _, complaints = await process.communicate()
        await reading
    os.close(screen)
    assert (process.returncode, complaints) == (0, b"")
    assert b"oldest due" in drawn


async def _read_to_the_end(screen: int) -> None:
    """Read what is still printed, so that nobody waits for room."""
    with contextlib.suppress(OSError):  # a terminal whose program has ended
        while await asyncio.to_thread(os.read, screen, 65_536):
            continue


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("events", "show", "01a20a4b-b3ae-750b-8a93-2500e569c584"), 3, "There is no event"),
        (("integrations", "show", "../../livez"), 3, "There is no"),
        (("deliveries", "retry", ""), 2, "'' is no id"),
        (("integrations", "disable", ".."), 2, "'..' is no id"),
        (("pbxs", "delete", "."), 2, "'.' is no id"),
        (("replay", "list", ""), 2, "'' is no id"),
        (("deliveries", "list", "--status", "lost"), 2, "status"),
        (("events", "list", "--since", "yesterday"), 2, "since: Send a timestamp"),
        (("events", "list", "--limit", "0"), 2, "limit"),
        (("integrations", "create", "--pbx", PBX), 2, "Name either"),
        (("integrations", "create", "--file", "missing.json"), 2, "cannot be read"),
        (("integrations", "create", "--url", "https://crm.example.com", "-e", "calls"), 2, "calls"),
        (("pbxs", "put", "1", "--company", "c", "--license", "gold"), 2, "license: Possible are"),
    ],
)
async def test_what_is_wrong_is_a_sentence_and_an_exit_code(
    run: Run, arguments: tuple[str, ...], code: int, told: str
) -> None:
    ended = await run(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
    assert "Traceback" not in ended.err


async def test_a_key_that_is_wrong_or_missing_is_told_apart(run: Run, there: There) -> None:
    unknown = await run("pbxs", "list", key=new_key())
    assert (unknown.code, unknown.out) == (4, "")
    assert "not known" in unknown.err
    nonsense = await run("pbxs", "list", key="secret")
    assert nonsense.code == 2
    assert "secret" not in nonsense.err
    short = await run("pbxs", "list", key="hk_short")
    assert short.code == 2
    assert "`hk_` and 32 to 128 letters" in short.err
    none = await invoked("pbxs", "list", "--server", there.service.url)
    assert none.code == 2
    assert "Set HOOKLINE_KEY" in none.err


_OTHER_SERVERS = {  # the answers of what is no Hookline, or another version of it, by path
    "/page": (200, "<html>Welcome</html>"),
    "/gone": (404, "<html>Nothing</html>"),
    "/elsewhere": (302, ""),
    "/gateway": (502, "Bad Gateway"),
    "/framework": (404, '{"detail": "Not Found"}'),
    "/list": (200, "[1]"),
    "/word": (200, '{"items": "some", "next": null}'),
    "/words": (200, '{"items": ["one"], "next": null}'),
    "/other": (200, '{"pbxs": []}'),
    "/older": (200, '{"items": [{"pbx": "1"}], "next": null}'),
    "/unknown": (404, json.dumps({"type": "/problems/not-found", "detail": NO_SUCH_ADDRESS})),
}
_TOLD = {
    "/page": "is no Hookline",
    "/gone": "404 Not Found, and not as Hookline does",
    "/elsewhere": "It leads to https://hookline.example.com: name that server",
    "/gateway": "502 Bad Gateway, and not as Hookline does",
    "/framework": "404 Not Found, and not as Hookline does",
    "/list": "is no Hookline",
    "/word": "has no `items`",
    "/words": "has no `items`",
    "/other": "has no `items`",
    "/older": "has no `company`",
    "/unknown": "is not known there",
}


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = _OTHER_SERVERS[self.path.partition("/v1/")[0]]
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "https://hookline.example.com")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def web_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_what_is_no_server_or_no_hookline_ends_with_5(web_server: str) -> None:
    key = new_key()
    nobody = await invoked("pbxs", "list", "--server", "http://127.0.0.1:9", HOOKLINE_KEY=key)
    assert nobody.code == 5
    assert "http://127.0.0.1:9 cannot be reached" in nobody.err
    for path, told in _TOLD.items():
        other = await invoked("pbxs", "list", "--server", web_server + path, HOOKLINE_KEY=key)
        assert (other.code, told in other.err) == (5, True), (path, other)
        assert "Traceback" not in other.err
    wrong = await invoked("pbxs", "list", "--server", "127.0.0.1:8080", HOOKLINE_KEY=key)
    assert wrong.code == 2


async def test_shells_complete_commands() -> None:
    program = Path(sys.executable).with_name("hookline")
    completing = {"_HOOKLINE_COMPLETE": "complete_bash", "COMP_WORDS": "hookline ev"}
    process = await asyncio.create_subprocess_exec(
        program,
        env=os.environ | completing | {"COMP_CWORD": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert out.decode().split() == ["events"]
