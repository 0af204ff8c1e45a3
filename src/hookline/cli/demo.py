"""`hookline demo`: the sample events through the real service to a receiver, live."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from hookline.cli import terminal
from hookline.errors import ConfigurationError

if TYPE_CHECKING:
    from hookline.cli.demo_scenario import SampleOutcome, Service
    from hookline.server.signals import Stopping

_COLOURS = {"✓": "green", "✗": "bold red", "503": "yellow", "sent": "bold", "received": "bold"}
_PACE = 0.25  # seconds between two events, so that eyes can follow
_OF_ITS_OWN = {
    "EGRESS_ALLOWED_NETWORKS": "127.0.0.1/32",
    "RETRY_DELAYS": "2,2,2",  # seconds: long enough to be seen
    "LOG_LEVEL": "WARNING",
}


def demo(
    *,
    url: Annotated[
        str | None,
        typer.Option(
            help="A running service on this machine, with 127.0.0.1/32 among its"
            " HOOKLINE_EGRESS_ALLOWED_NETWORKS. Else one is started and thrown away."
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="An admin key for --url; else the one in DATA_DIR.")
    ] = None,
) -> None:
    """Send the sample events to a receiver of its own, and show how each arrives."""
    from hookline.server.signals import run_until_stopped  # noqa: PLC0415

    verified: list[bool] = []

    async def run(_stopping: "Stopping") -> None:
        async with _service(url, key) as service:
            verified.append(await _demonstrate(service))

    code = run_until_stopped(run)
    sys.exit(code or (0 if verified == [True] else 1))


@asynccontextmanager
async def _service(url: str | None, key: str | None) -> AsyncIterator["Service"]:
    from hookline.cli.demo_scenario import Service  # noqa: PLC0415
    from hookline.security.keys import new_key  # noqa: PLC0415
    from hookline.server.processes import running_service  # noqa: PLC0415

    if url is not None:
        yield Service(url.rstrip("/"), key or _kept_key())
        return
    terminal.say("Starting a service of its own, with a new database …")
    with TemporaryDirectory(prefix="hookline-demo-") as name:
        directory = _passable(Path(name))
        own = {"DATA_DIR": str(directory / "data"), "PORT": "0", "ADMIN_KEY": new_key()}
        async with running_service(directory, own | _OF_ITS_OWN) as service:
            yield Service(service.url, own["ADMIN_KEY"])


def _passable(directory: Path) -> Path:
    """Let others through: for root, another user runs the database."""
    directory.chmod(0o711)
    return directory


def _kept_key() -> str:
    from hookline.settings import load_settings, start_secrets  # noqa: PLC0415

    settings = load_settings()
    if settings.admin_key is None and not settings.data_dir.exists():
        raise ConfigurationError("Give an admin key of that service with --key.")
    return start_secrets(settings).admin_key.get_secret_value()


async def _demonstrate(service: "Service") -> bool:
    """Show each sample's way, then a summary; return whether all of it was verified."""
    from hookline.cli.demo_scenario import Scenario  # noqa: PLC0415

    async with Scenario.opened(service, tell=lambda line: terminal.say(line, _COLOURS)) as scenario:
        await scenario.send_samples(pace=_PACE if sys.stdout.isatty() else 0.0)
        outcomes = await scenario.outcomes()
    verified = sum(outcome.verified for outcome in outcomes)
    retried = sum(len(outcome.answers) > 1 for outcome in outcomes)
    terminal.say("")
    columns = ("event", "outcome", "attempts", "last took", "verified")
    terminal.table(
        "What GET /v1/events/{id} and /v1/deliveries/{id} say", columns, map(_row, outcomes)
    )
    terminal.say(
        f"{verified} of {len(outcomes)} events delivered and verified, {retried} after a retry.",
        {str(verified): "bold"},
    )
    return verified == len(outcomes) and retried == 1


def _row(outcome: "SampleOutcome") -> tuple[str, ...]:
    return (
        outcome.type,
        outcome.status if outcome.reason is None else f"{outcome.status}: {outcome.reason}",
        ", ".join(outcome.answers),
        f"{outcome.took_ms} ms",
        "✓" if outcome.verified else "✗",
    )
