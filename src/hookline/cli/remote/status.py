"""`hookline status`: the state of the whole service, live on a terminal."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from hookline.cli import terminal
from hookline.cli.remote.api import Api, AsJson, Server, at, connected
from hookline.cli.terminal import Object

if TYPE_CHECKING:
    from rich.console import Group

Facts = list[tuple[str, str]]

_COLUMNS = ("host", "pid", "version", "api", "in hand", "under way", "delivered/s", "seen")


def status(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Print it once, also on a terminal.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=1.0, max=3600.0, help="Seconds between two looks.")
    ] = 2.0,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Show backlog, rates, engines and database. Takes an admin key; live until Ctrl-C."""
    with connected(server) as api:
        found = api.get(at("system"))
        if as_json:
            terminal.print_json(found)
        elif once or not sys.stdout.isatty():
            terminal.panel("Hookline", facts(found))
            terminal.table("Engines", _COLUMNS, engines(found))
        else:
            _watch(api, found, every)


def facts(found: Object) -> Facts:
    """Return what there is to know at a glance, by name."""
    backlog, rates, database = found["backlog"], found["rates"], found["database"]
    oldest, days = found["oldestDue"], found["partitions"]
    states = ", ".join(f"{count:,} {state}" for state, count in found["integrations"].items())
    about = "about " if backlog["estimated"] else ""
    waited = "only for paused integrations" if backlog["due"] else "nothing waits"
    if oldest is not None:
        waited = f"for {oldest['waitedMs'] / 1000:,.1f} s, {oldest['integrationId']}"
    return [
        ("version", found["version"]),
        ("pending", f"{about}{backlog['pending']:,} of at most {backlog['limit']:,}"),
        *((name, f"{about}{backlog[name]:,}") for name in ("due", "leased", "scheduled")),
        ("oldest due", waited),
        ("accepted", f"{rates['acceptedPerSecond']:,.2f} events/s over the last minute"),
        ("delivered", f"{rates['deliveredPerSecond']:,.2f}/s"),
        ("failed", f"{rates['failedPerSecond']:,.2f}/s"),
        ("integrations", states),
        ("most waiting", _tenants(backlog["tenants"])),
        ("database", _database(database)),
        ("migration", f"{found['migrations']['current']} of {found['migrations']['newest']}"),
        ("days kept", f"{days['days']}, {days['oldest']} to {days['newest']}"),
    ]


def engines(found: Object) -> list[list[str]]:
    """Return a row for each process that delivers."""
    return [
        [
            terminal.cell(each["host"]),
            str(each["pid"]),
            each["version"],
            terminal.cell(each["api"]),
            terminal.cell(each["leased"]),
            terminal.cell(each["inFlight"]),
            terminal.cell(each["rates"]["deliveredPerSecond"]),
            terminal.time(each["seenAt"]),
        ]
        for each in found["engines"]
    ]


def _database(database: Object) -> str:
    megabytes = f"{database['sizeBytes'] / 2**20:,.0f} MiB"
    sessions = f"{database['connections']} of {database['connectionsLimit']} connections"
    latency = f"{database['latencyMs']:g} ms"
    return f"PostgreSQL {database['version']}, {megabytes}, {latency}, {sessions}"


def _tenants(tenants: list[Object]) -> str:
    named = [
        f"{terminal.cell(each['pbx'] or each['company'] or 'deleted')} {each['pending']:,}"
        for each in tenants[:3]
    ]
    return ", ".join(named) or terminal.NOTHING


def _watch(api: Api, found: Object, every: float) -> None:
    from rich.live import Live  # noqa: PLC0415 - on a terminal alone

    try:
        # Without a thread that draws: one that waits for the screen outlives Ctrl-C.
        with Live(_drawn(found), console=terminal.console(), auto_refresh=False) as live:
            while True:
                time.sleep(every)
                live.update(_drawn(api.get(at("system"))), refresh=True)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _drawn(found: Object) -> "Group":
    from rich.console import Group  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    summary = Table.grid(padding=(0, 2))
    for name, value in facts(found):
        summary.add_row(Text(name, style="dim"), Text(value))
    members = Table(title="Engines", title_justify="left")
    for column in _COLUMNS:
        members.add_column(column)
    for row in engines(found):
        members.add_row(*map(Text, row))
    return Group(summary, members)
