"""`hookline deliveries`: each copy on its way, with its attempts."""

from typing import Annotated

import typer

from hookline.cli.remote import output
from hookline.cli.remote.api import (
    AsJson,
    Limit,
    Object,
    Server,
    Since,
    Until,
    at,
    connected,
)
from hookline.cli.terminal import table

app = typer.Typer(help="Look at deliveries, and retry them.", no_args_is_help=True)

DeliveryId = Annotated[str, typer.Argument(metavar="ID", help="The delivery's id.")]


@app.command("list")
def list_deliveries(  # noqa: PLR0913 - each is an option of the command
    *,
    integration: Annotated[
        str | None, typer.Option("--integration", "-i", help="Of this integration.")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(help="pending, delivered, failed or skipped; may be given several times."),
    ] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Of this event type.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest first."""
    query = {
        "integrationId": integration,
        "status": status,
        "type": type_,
        "since": since,
        "until": until,
    }
    with connected(server) as api:
        output.show_list(
            api.items(at("deliveries"), query, limit=limit),
            as_json=as_json,
            title="Deliveries",
            columns=("id", "created", "integration", "type", "status", "reason", "attempts"),
            row=lambda delivery: (
                delivery["id"],
                output.time(delivery["createdAt"]),
                delivery["integrationId"],
                delivery["type"],
                delivery["status"],
                delivery["reason"],
                len(delivery["attempts"]),
            ),
        )


@app.command("show")
def show_delivery(
    delivery_id: DeliveryId, *, server: Server = None, as_json: AsJson = False
) -> None:
    """Show one delivery with its attempts."""
    with connected(server) as api:
        _show(api.get(at("deliveries", delivery_id)), as_json=as_json)


@app.command("retry")
def retry_delivery(
    delivery_id: DeliveryId, *, server: Server = None, as_json: AsJson = False
) -> None:
    """Have one more attempt made now."""
    with connected(server) as api:
        _show(api.call("POST", at("deliveries", delivery_id, "retry")), as_json=as_json)


def _show(delivery: Object, *, as_json: bool) -> None:
    names = ("id", "eventId", "integrationId", "type", "status", "reason")
    facts = [*((name, delivery[name]) for name in names)]
    facts.append(("created", output.time(delivery["createdAt"])))
    facts.append(("next attempt", output.time(delivery["nextAttemptAt"])))
    output.show(delivery, as_json=as_json, facts=facts, title="Delivery")
    if as_json:
        return
    columns = ("attempt", "started", "ms", "outcome", "error", "answer", "body")
    rows = [
        [
            output.cell(attempt["number"]),
            output.time(attempt["startedAt"]),
            output.cell(attempt["durationMs"]),
            *(output.cell(attempt[name]) for name in ("outcome", "error", "statusCode")),
            output.cell((attempt["responseBody"] or "")[:200]),
        ]
        for attempt in delivery["attempts"]
    ]
    table("Attempts", columns, rows)
