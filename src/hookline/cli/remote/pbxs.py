"""`hookline pbxs`: a PBX's company, licence and presence events."""

from typing import Annotated

import typer

from hookline.cli import terminal
from hookline.cli.remote.api import AsJson, Limit, Server, at, connected
from hookline.cli.terminal import Object, say

app = typer.Typer(help="Look at and describe PBXs.", no_args_is_help=True)

Serial = Annotated[str, typer.Argument(metavar="PBX", help="The PBX's serial.")]


@app.command("list")
def list_pbxs(  # noqa: PLR0913 - each is an option of the command
    *,
    company: Annotated[str | None, typer.Option(help="Of this company.")] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="x-bees or collaboration.")
    ] = None,
    search: Annotated[
        str | None, typer.Option(help="With this in the serial or the company's id.")
    ] = None,
    limit: Limit = 50,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List the PBXs on record, those that were described last first."""
    query = {"company": company, "license": license_, "search": search}
    with connected(server) as api:
        terminal.show_list(
            api.items(at("pbxs"), query, limit=limit),
            as_json=as_json,
            title="PBXs",
            columns=("pbx", "company", "license", "presence events", "retention", "updated"),
            row=lambda each: [value for _, value in _facts(each)],
        )


@app.command("show")
def show_pbx(pbx: Serial, *, server: Server = None, as_json: AsJson = False) -> None:
    """Show what is known of a PBX."""
    with connected(server) as api:
        found = api.get(at("pbxs", pbx))
    terminal.show(found, as_json=as_json, facts=_facts(found), title="PBX")


@app.command("put")
def put_pbx(  # noqa: PLR0913 - each is an option of the command
    pbx: Serial,
    *,
    company: Annotated[str, typer.Option(help="Whose it is.")],
    license_: Annotated[str, typer.Option("--license", help="x-bees or collaboration.")],
    presence_events: Annotated[
        bool, typer.Option("--presence-events/--no-presence-events", help="For collaboration.")
    ] = False,
    retention_days: Annotated[
        int | None, typer.Option(help="Days that its events are kept; else as everybody's.")
    ] = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Describe a PBX, in place of what was known of it."""
    said = {
        "company": company,
        "license": license_,
        "presenceEvents": presence_events,
        "retentionDays": retention_days,
    }
    with connected(server) as api:
        put = api.call("PUT", at("pbxs", pbx), said)
    terminal.show(put, as_json=as_json, facts=_facts(put), title="PBX")


@app.command("delete")
def delete_pbx(pbx: Serial, *, server: Server = None, as_json: AsJson = False) -> None:
    """Delete the record of a PBX; its integrations stay."""
    with connected(server) as api:
        api.call("DELETE", at("pbxs", pbx))
    if as_json:
        terminal.print_json({"deleted": pbx})
    else:
        say(f"Deleted the record of {pbx}.")


def _facts(each: Object) -> list[tuple[str, object]]:
    return [
        ("pbx", each["pbx"]),
        ("company", each["company"]),
        ("license", each["license"]),
        ("presence events", each["presenceEvents"]),
        ("retention", _retention(each["retentionDays"])),
        ("updated", terminal.time(each["updatedAt"])),
    ]


def _retention(days: object) -> str:
    return "as everybody's" if days is None else f"{days} days"
