"""`hookline replay`: an integration's events sent again, followed with a progress bar."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from hookline.cli import terminal
from hookline.cli.remote.api import (
    Api,
    AsJson,
    ExitCode,
    Limit,
    Server,
    at,
    connected,
    timestamp,
)
from hookline.cli.terminal import Object, say

app = typer.Typer(help="Send an integration's events again.", no_args_is_help=True)

IntegrationId = Annotated[str, typer.Argument(metavar="ID", help="The integration's id.")]
ReplayId = Annotated[str, typer.Argument(metavar="ID", help="The replay's id.")]
From = Annotated[
    str,
    typer.Option(
        parser=timestamp, metavar="TIME", help="From when on: 2026-01-31T12:00:00Z, or 12h ago."
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        parser=timestamp, metavar="TIME", help="Until when, written the same way; else now."
    ),
]
Statuses = Annotated[
    list[str] | None,
    typer.Option(help="Only what ended delivered, failed or skipped; several times."),
]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Only these event types; several times.")
]
Missing = Annotated[bool, typer.Option("--missing", help="Also events that it has no delivery of.")]
RateLimit = Annotated[
    float | None, typer.Option(min=0.1, help="So many deliveries a second at most.")
]
_ENDED = {"done", "cancelled", "failed"}
_LOOK_EVERY = 1.0  # seconds


@app.command("start")
def start(  # noqa: PLR0913 - each is an option of the command
    integration_id: IntegrationId,
    *,
    since: From,
    until: To = None,
    status: Statuses = None,
    type_: Types = None,
    missing: Missing = False,
    rate_limit: RateLimit = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow it to its end, or only start it.")
    ] = True,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Queue an integration's events of a time once more, and follow it.

    Ctrl-C ends the following alone: the replay goes on. Exit code 1 where it failed or was
    cancelled.
    """
    wanted: Object = {
        "since": since,
        "until": until or datetime.now(UTC).isoformat(),
        "missing": missing,
        "dryRun": dry_run,
    }
    optional = {"statuses": status or None, "types": type_ or None, "rateLimit": rate_limit}
    wanted |= {name: value for name, value in optional.items() if value is not None}
    with connected(server) as api:
        begun = api.call("POST", at("integrations", integration_id, "replays"), wanted)
        if dry_run:
            _show_count(begun, as_json=as_json)
            return
        ended = _followed(api, begun, quiet=as_json) if wait else begun
    _show(ended, as_json=as_json)
    _judge(ended)


@app.command("list")
def list_replays(
    integration_id: IntegrationId,
    *,
    limit: Limit = 50,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List an integration's replays, newest first."""
    with connected(server) as api:
        terminal.show_list(
            api.items(at("integrations", integration_id, "replays"), {}, limit=limit),
            as_json=as_json,
            title="Replays",
            columns=("id", "created", "by", "state", "queued", "of", "delivered", "failed"),
            row=lambda each: (
                each["id"],
                terminal.time(each["createdAt"]),
                each["createdBy"],
                each["state"],
                *(each[name] for name in ("queued", "total", "delivered", "failed")),
            ),
        )


@app.command("show")
def show_replay(
    replay_id: ReplayId,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a replay has come, or follow it."""
    with connected(server) as api:
        found = api.get(at("replays", replay_id))
        if wait:
            found = _followed(api, found, quiet=as_json)
    _show(found, as_json=as_json)
    if wait:
        _judge(found)


@app.command("cancel")
def cancel_replay(replay_id: ReplayId, *, server: Server = None, as_json: AsJson = False) -> None:
    """Cancel a replay: nothing more of it is queued."""
    with connected(server) as api:
        _show(api.call("POST", at("replays", replay_id, "cancel")), as_json=as_json)


def _followed(api: Api, begun: Object, *, quiet: bool) -> Object:
    """Follow a replay to its end; on a terminal with a progress bar."""
    latest = begun
    try:
        if quiet or not sys.stdout.isatty():
            for latest in _steps(api, begun):  # noqa: B007 - the last one counts
                pass
            return latest
        from rich.progress import Progress  # noqa: PLC0415 - on a terminal alone

        with Progress() as progress:
            task = progress.add_task("counting", total=None)
            for latest in _steps(api, begun):
                told = f"{latest['state']}: {latest['delivered']:,} delivered"
                done, total = latest["queued"], latest["total"]
                progress.update(task, description=told, completed=done, total=total)
    except KeyboardInterrupt:
        say(f"It goes on: hookline replay show --wait {begun['id']}, or replay cancel.")
        raise typer.Exit(ExitCode.FAILED) from None
    return latest


def _steps(api: Api, begun: Object) -> Iterator[Object]:
    latest = begun
    yield latest
    while latest["state"] not in _ENDED:
        time.sleep(_LOOK_EVERY)
        latest = api.get(at("replays", begun["id"]))
        yield latest


def _judge(replay: Object) -> None:
    if replay["state"] in {"failed", "cancelled"}:
        raise typer.Exit(ExitCode.FAILED)


def _show_count(counted: Object, *, as_json: bool) -> None:
    more = "" if counted["complete"] else "more than "
    facts = [("deliveries", f"{more}{counted['total']:,}")]
    terminal.show(counted, as_json=as_json, facts=facts, title="Would be queued")


def _show(replay: Object, *, as_json: bool) -> None:
    names = ("id", "integrationId", "state", "total", "queued", "delivered", "failed", "skipped")
    facts = [(name, replay[name]) for name in names]
    facts.append(("error", replay["error"]))
    terminal.show(replay, as_json=as_json, facts=facts, title="Replay")
