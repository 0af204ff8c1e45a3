"""`hookline events` and `deliveries`: what was accepted, and each copy with its attempts."""

from typing import Annotated

import typer

from hookline.cli import terminal
from hookline.cli.remote.api import (
    AsJson,
    Limit,
    Server,
    Since,
    Until,
    at,
    connected,
)
from hookline.cli.terminal import Object, table

events = typer.Typer(help="Find events, and what became of them.", no_args_is_help=True)


@events.command("list")
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
        terminal.show_list(
            api.items(at("events"), query, limit=limit),
            as_json=as_json,
            title="Events",
            columns=("id", "accepted", "type", "pbx", "company", "subject"),
            row=lambda event: (
                event["eventId"],
                terminal.time(event["acceptedAt"]),
                event["type"],
                event["pbx"],
                event["company"],
                event["subject"],
            ),
        )


@events.command("show")
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
        terminal.print_json(found)
        return
    event = found["event"] or {}
    facts = [
        ("id", found["eventId"]),
        ("accepted", terminal.time(found["acceptedAt"])),
        *((name, event.get(name)) for name in ("type", "pbx", "company")),
        ("subject", event.get("id")),
    ]
    terminal.show(found, as_json=False, facts=facts, title="Event")
    columns = ("integration", "status", "reason", "delivery", "attempts", "last answer", "waits")
    rows = [_outcome_row(each) for each in found["outcomes"]]
    table("Outcomes", columns, rows)


def _outcome_row(outcome: Object) -> list[str]:
    shown = [outcome[name] for name in ("integrationId", "status", "reason", "deliveryId")]
    if (detail := outcome["detail"]) is None:
        return [terminal.cell(each) for each in (*shown, None, None, None)]
    last = detail["lastAttempt"]
    answer = None if last is None else last["statusCode"] or last["error"]
    waits = _waits(detail) if outcome["status"] == "pending" else None
    return [terminal.cell(each) for each in (*shown, detail["attempts"], answer, waits)]


def _waits(detail: Object) -> str:
    """Say what a pending delivery waits for."""
    if detail["paused"]:
        since, probe = (terminal.time(detail[name]) for name in ("pausedSince", "nextProbeAt"))
        return f"paused since {since}, tried next {probe}"
    if detail["behind"] is not None:
        return f"behind {detail['behind']}"
    if detail["nextAttemptAt"] is None:
        return "being attempted"
    return f"until {terminal.time(detail['nextAttemptAt'])}"


deliveries = typer.Typer(help="Look at deliveries, and retry them.", no_args_is_help=True)

DeliveryId = Annotated[str, typer.Argument(metavar="ID", help="The delivery's id.")]


@deliveries.command("list")
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
        terminal.show_list(
            api.items(at("deliveries"), query, limit=limit),
            as_json=as_json,
            title="Deliveries",
            columns=("id", "created", "integration", "type", "status", "reason", "attempts"),
            row=lambda delivery: (
                delivery["id"],
                terminal.time(delivery["createdAt"]),
                delivery["integrationId"],
                delivery["type"],
                delivery["status"],
                delivery["reason"],
                len(delivery["attempts"]),
            ),
        )


@deliveries.command("show")
def show_delivery(
    delivery_id: DeliveryId, *, server: Server = None, as_json: AsJson = False
) -> None:
    """Show one delivery with its attempts."""
    with connected(server) as api:
        _show(api.get(at("deliveries", delivery_id)), as_json=as_json)


@deliveries.command("retry")
def retry_delivery(
    delivery_id: DeliveryId, *, server: Server = None, as_json: AsJson = False
) -> None:
    """Have one more attempt made now."""
    with connected(server) as api:
        _show(api.call("POST", at("deliveries", delivery_id, "retry")), as_json=as_json)


def _show(delivery: Object, *, as_json: bool) -> None:
    names = ("id", "eventId", "integrationId", "type", "status", "reason")
    facts = [*((name, delivery[name]) for name in names)]
    facts.append(("created", terminal.time(delivery["createdAt"])))
    facts.append(("next attempt", terminal.time(delivery["nextAttemptAt"])))
    terminal.show(delivery, as_json=as_json, facts=facts, title="Delivery")
    if as_json:
        return
    columns = ("attempt", "started", "ms", "outcome", "error", "answer", "body")
    rows = [
        [
            terminal.cell(attempt["number"]),
            terminal.time(attempt["startedAt"]),
            terminal.cell(attempt["durationMs"]),
            *(terminal.cell(attempt[name]) for name in ("outcome", "error", "statusCode")),
            terminal.cell((attempt["responseBody"] or "")[:200]),
        ]
        for attempt in delivery["attempts"]
    ]
    table("Attempts", columns, rows)
