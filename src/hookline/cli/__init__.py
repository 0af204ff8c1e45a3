"""The command line. Each command imports what it needs when it runs, so that `--help` is quick."""

import sys
from typing import Annotated

import typer

from hookline import __version__
from hookline.cli import bench, database, demo, keys, listen, openapi, serve, settings
from hookline.errors import HooklineError

app = typer.Typer(
    name="hookline",
    help="Delivers PBX events to webhooks and SQS queues: durable, signed, bounded.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve.serve)
app.command()(serve.worker)
app.command()(database.migrate)
app.command("settings")(settings.show)
app.add_typer(keys.app, name="keys")
app.command()(openapi.openapi)
bench.add_to(app)
app.command()(demo.demo)
app.command()(listen.listen)


def main() -> None:
    """Run a command; what Hookline raises on purpose ends as its sentence and exit code 1."""
    try:
        app()
    except HooklineError as error:
        sys.stderr.write(f"hookline: {error}\n")
        sys.exit(1)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it with a position
    if asked:
        sys.stdout.write(f"hookline {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Options before any command."""
