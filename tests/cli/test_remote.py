"""Operators' commands against a running server; what they print, and their exit codes."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from factories import PBX, an_event
from hookline.cli.remote.history import _waits
from support.receivers import Receiver, answering, receiving, status
from support.remote_commands import Run, There


@pytest.fixture(scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


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
