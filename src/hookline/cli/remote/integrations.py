"""`hookline integrations`: who gets which events, and where."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hookline.cli import terminal
from hookline.cli.remote.api import (
    AsJson,
    ExitCode,
    Limit,
    Server,
    at,
    connected,
    fail,
)
from hookline.cli.terminal import Object, say

app = typer.Typer(help="Manage integrations.", no_args_is_help=True)

IntegrationId = Annotated[str, typer.Argument(metavar="ID", help="The integration's id.")]


@app.command("list")
def list_integrations(  # noqa: PLR0913 - each is an option of the command
    *,
    pbx: Annotated[str | None, typer.Option(help="Of this PBX.")] = None,
    company: Annotated[str | None, typer.Option(help="Of this company.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="WEBHOOK or AWS_SQS.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="Only those that are, or are not.")
    ] = None,
    limit: Limit = 50,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List integrations, newest first."""
    query = {"pbx": pbx, "company": company, "type": type_, "enabled": enabled}
    with connected(server) as api:
        terminal.show_list(
            api.items(at("integrations"), query, limit=limit),
            as_json=as_json,
            title="Integrations",
            columns=("id", "name", "pbx", "company", "type", "url", "state"),
            row=lambda each: (
                each["id"],
                each["name"],
                each["pbx"],
                each["company"],
                each["transmission"]["type"],
                each["transmission"]["url"],
                each["health"]["state"],
            ),
        )


@app.command("show")
def show_integration(
    integration_id: IntegrationId, *, server: Server = None, as_json: AsJson = False
) -> None:
    """Show one integration with its health."""
    with connected(server) as api:
        _show(api.get(at("integrations", integration_id)), as_json=as_json)


@app.command("create")
def create_integration(  # noqa: PLR0913 - each is an option of the command
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", help="A file with the JSON of POST /v1/integrations; - reads it here."
        ),
    ] = None,
    url: Annotated[str | None, typer.Option(help="The webhook's address.")] = None,
    pbx: Annotated[str | None, typer.Option(help="Whose events it gets.")] = None,
    company: Annotated[str | None, typer.Option(help="The PBX's, or whose events.")] = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event",
            "-e",
            metavar="GROUP[=TYPE,…]",
            help="A whole group, or types of it; may be given several times.",
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Sent again with it, nothing more is created.")
    ] = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Create an integration; a webhook's secret is shown.

    Queues take an AWS key, which belongs in a --file and not on a command line.
    """
    if (file is None) == (url is None):
        fail(ExitCode.USAGE, "Name either a --file, or the --url of a webhook.")
    new = _read(file) if file is not None else _webhook(url, pbx, company, name, event or [])
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
    with connected(server) as api:
        made = api.call("POST", at("integrations"), new, headers=headers)
    _show(made, as_json=as_json)


@app.command("test")
def send_test(
    integration_id: IntegrationId,
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="Such as call:completed.")],
    *,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Send the example of an event type now; exit code 1 where it was not delivered."""
    with connected(server) as api:
        path = at("integrations", integration_id, "test")
        result = api.call("POST", path, {"type": event_type})
    attempt = result["attempt"]
    facts = [
        ("outcome", attempt["outcome"]),
        ("error", attempt["error"]),
        ("answer", attempt["statusCode"]),
        ("took", f"{attempt['durationMs']} ms"),
        ("answer's body", (attempt["responseBody"] or "")[:500]),
        ("sent", result["body"]),
    ]
    terminal.show(result, as_json=as_json, facts=facts, title=f"Test of {integration_id}")
    if attempt["outcome"] != "delivered":
        raise typer.Exit(ExitCode.FAILED)


@app.command("enable")
def enable_integration(
    integration_id: IntegrationId, *, server: Server = None, as_json: AsJson = False
) -> None:
    """Switch an integration on, which also clears its health."""
    _switch(integration_id, server, enabled=True, as_json=as_json)


@app.command("disable")
def disable_integration(
    integration_id: IntegrationId, *, server: Server = None, as_json: AsJson = False
) -> None:
    """Switch an integration off: it gets no events, and what waits ends as skipped."""
    _switch(integration_id, server, enabled=False, as_json=as_json)


def _switch(integration_id: str, server: str | None, *, enabled: bool, as_json: bool) -> None:
    with connected(server) as api:
        changed = api.call("PATCH", at("integrations", integration_id), {"enabled": enabled})
    if as_json:
        terminal.print_json(changed)
    else:
        say(f"{changed['id']} is {'enabled' if changed['enabled'] else 'disabled'}.")


def _read(file: Path) -> Any:  # noqa: ANN401 - the server says what is wrong with it
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        fail(ExitCode.USAGE, f"{file} cannot be read ({error.strerror}).")
    except ValueError as error:
        fail(ExitCode.USAGE, f"{file} is not JSON: {error}.")


def _webhook(
    url: str | None, pbx: str | None, company: str | None, name: str | None, events: list[str]
) -> Object:
    chosen: Object = {}
    for each in events:
        group, _, types = each.partition("=")
        chosen[group] = [name for name in types.split(",") if name] if types else "all"
    said = {"pbx": pbx, "company": company, "name": name}
    return {
        **{key: value for key, value in said.items() if value is not None},
        "transmission": {"type": "WEBHOOK", "url": url},
        "events": chosen,
    }


def _show(each: Object, *, as_json: bool) -> None:
    target, health = each["transmission"], each["health"]
    facts = [
        *((name, each[name]) for name in ("id", "name", "pbx", "company", "enabled")),
        ("type", target["type"]),
        ("url", target["url"]),
        ("events", _chosen(each["events"])),
        ("ordering", each["ordering"]),
        ("state", health["state"]),
        ("failing since", terminal.time(health["failingSince"])),
        ("last error", health["lastError"]),
        ("disabled because", health["disabledReason"]),
    ]
    if secret := target.get("secret"):
        facts.append(("secret", secret))
    terminal.show(each, as_json=as_json, facts=facts, title="Integration")


def _chosen(events: Object) -> str:
    return "; ".join(
        f"{group}: {types if isinstance(types, str) else ', '.join(types)}"
        for group, types in events.items()
    )
