"""`hookline events`: what was accepted, and what became of it."""

from typing import Annotated

import typer

from hookline.cli.remote import output
from hookline.cli.remote.api import AsJson, Limit, Server, Since, Until, at, connected
from hookline.cli.terminal import table

app = typer.Typer(help="Find events, and what became of them.", no_args_is_help=True)


@app.command("list")
def list_events(  # noqa: PLR0913 - each is an option of the command
    *,
    pbx: Annotated[str | None, typer.Option(help="Of this PBX.")] = None,
    company: Annotated[str | None, typer.Option(help="Of this company.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Of this type.")] = None,
    subject: Annotated[str | None, typer.Option(help="Of this subject: the envelope's id.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List accepted events, newest first."""
    query = {
        "pbx": pbx,
        "company": company,
        "type": type_,
        "subject": subject,
        "since": since,
        "until": until,
    }
    with connected(server) as api:
        output.show_list(
            api.items(at("events"), query, limit=limit),
            as_json=as_json,
            title="Events",
            columns=("id", "accepted", "type", "pbx", "company", "subject"),
            row=lambda event: (
                event["eventId"],
                output.time(event["acceptedAt"]),
                event["type"],
                event["pbx"],
                event["company"],
                event["subject"],
            ),
        )


@app.command("show")
def show_event(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")],
    *,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Show one event, and each integration's outcome with its reason."""
    with connected(server) as api:
        found = api.get(at("events", event_id))
    if as_json:
        output.print_json(found)
        return
    event = found["event"] or {}
    facts = [
        ("id", found["eventId"]),
        ("accepted", output.time(found["acceptedAt"])),
        *((name, event.get(name)) for name in ("type", "pbx", "company")),
        ("subject", event.get("id")),
    ]
    output.show(found, as_json=False, facts=facts, title="Event")
    columns = ("integration", "status", "reason", "delivery")
    rows = [
        [output.cell(each[name]) for name in ("integrationId", "status", "reason", "deliveryId")]
        for each in found["outcomes"]
    ]
    table("Outcomes", columns, rows)
