"""`hookline serve` and `hookline worker`: the service, until a signal."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hookline.cli import terminal

if TYPE_CHECKING:
    import socket

    from hookline.cli.stopping import Stopping
    from hookline.settings import Settings, StartSecrets


def serve(
    *,
    engine: Annotated[
        bool, typer.Option("--engine/--no-engine", help="Deliver too, or only take requests.")
    ] = True,
) -> None:
    """Run the API, the console and, unless told otherwise, the delivery engine."""
    from hookline.cli.serving import listener  # noqa: PLC0415
    from hookline.cli.stopping import run_until_stopped  # noqa: PLC0415
    from hookline.settings import load_settings, start_secrets  # noqa: PLC0415

    settings = load_settings()
    _log(settings)
    taken = listener(
        settings.host, settings.port, advice="stop what is there, or set HOOKLINE_PORT to another."
    )
    with taken:
        secrets = start_secrets(settings)
        sys.exit(run_until_stopped(lambda stop: _serve(settings, secrets, taken, stop, engine)))


def worker() -> None:
    """Run the delivery engine alone, beside `serve --no-engine` processes."""
    from hookline.cli.stopping import run_until_stopped  # noqa: PLC0415
    from hookline.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    _log(settings)
    sys.exit(run_until_stopped(lambda stopping: _work(settings, stopping)))


async def _serve(
    settings: "Settings",
    secrets: "StartSecrets",
    taken: "socket.socket",
    stopping: "Stopping",
    engine: bool,  # noqa: FBT001 - a private step of `serve`
) -> None:
    from hookline.app import create_app  # noqa: PLC0415
    from hookline.cli.serving import address_of, answer  # noqa: PLC0415
    from hookline.runtime import open_runtime  # noqa: PLC0415

    application = create_app(lambda: open_runtime(settings, engine=engine))

    def announce() -> None:
        console = any(
            str(getattr(r, "path", "")).startswith("/console") for r in application.routes
        )
        facts = _facts(address_of(taken), settings, secrets, console=console)
        terminal.panel("Hookline is running", facts)

    # Not left to uvicorn, which turns a start's sentence into a traceback.
    async with application.router.lifespan_context(application):
        await answer(
            application, taken, stopping, grace=settings.shutdown_grace, when_started=announce
        )


async def _work(settings: "Settings", stopping: "Stopping") -> None:
    from hookline.runtime import open_runtime  # noqa: PLC0415

    asked = asyncio.Event()
    async with open_runtime(settings, engine=True, api=False):
        stopping.asks(asked.set)
        terminal.say("Hookline's delivery engine is running.")
        await asked.wait()


def _facts(
    address: str, settings: "Settings", secrets: "StartSecrets", *, console: bool
) -> list[tuple[str, str]]:
    """List what a person needs first; the admin key only on the start that made it."""
    from hookline.settings import ADMIN_KEY_FILE  # noqa: PLC0415

    facts = [("API", f"{address}/v1"), ("Docs", f"{address}/docs")]
    if console:
        facts.append(("Console", f"{address}/console/"))
    kept = settings.data_dir / ADMIN_KEY_FILE
    if secrets.admin_key_is_new:
        facts.append(("Admin key", secrets.admin_key.get_secret_value()))
        facts.append(("", f"shown this once; kept in {kept}"))
    elif settings.admin_key is None:
        facts.append(("Admin key", f"in {kept}"))
    return facts


def _log(settings: "Settings") -> None:
    from hookline import logs  # noqa: PLC0415

    console = settings.log_format == "console" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    logs.configure(level=settings.log_level, console=console)
