"""The command line. A command's module is imported when the command is asked for."""

import os
import sys
from codecs import lookup
from collections.abc import Mapping
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Final, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from hookline import __version__
from hookline.errors import HooklineError, InvalidInput, NotFound

_COMMANDS: Final = {  # in the order of the help: where each is found
    "serve": "hookline.cli.serve:serve",
    "worker": "hookline.cli.serve:worker",
    "migrate": "hookline.cli.database:migrate",
    "doctor": "hookline.cli.doctor:doctor",
    "settings": "hookline.cli.show:settings",
    "keys": "hookline.cli.keys:app",
    "status": "hookline.cli.remote.status:status",
    "events": "hookline.cli.remote.history:events",
    "deliveries": "hookline.cli.remote.history:deliveries",
    "integrations": "hookline.cli.remote.integrations:app",
    "replay": "hookline.cli.remote.replay:app",
    "pbxs": "hookline.cli.remote.pbxs:app",
    "openapi": "hookline.cli.show:openapi",
    "bench": "hookline.cli.bench:app",
    "demo": "hookline.cli.demo:demo",
    "listen": "hookline.cli.listen:listen",
}


_EXIT_CODES: Final[Mapping[type[HooklineError], int]] = {  # docs/cli.md explains each
    InvalidInput: 2,
    NotFound: 3,
}


class _Commands(TyperGroup):
    """Imports the module of a command when the command is asked for: `serve` needs few of them."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - typer calls it so
        """Return the names of all commands, in the order of the help."""
        return list(_COMMANDS)

    def get_command(
        self,
        ctx: object,  # noqa: ARG002 - typer calls it so
        cmd_name: str,
    ) -> TyperCommand | TyperGroup | None:
        """Return a command; None where there is none of that name."""
        if cmd_name not in _COMMANDS:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = _loaded(cmd_name)
        return cast("TyperCommand | TyperGroup", self.commands[cmd_name])


app = typer.Typer(
    cls=_Commands,
    name="hookline",
    help="Delivers PBX events to webhooks and SQS queues: durable, signed, bounded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run a command; what Hookline raises or the system refuses is a sentence and an exit code."""
    _open_streams()
    try:
        app()
    except HooklineError as error:
        sys.stderr.write(f"hookline: {error}\n")
        sys.exit(_EXIT_CODES.get(type(error), 1))
    except OSError as error:  # what the system has too little of, or does not let this user do
        where = "" if error.filename is None else f" {error.filename}"
        why = error.strerror or type(error).__name__
        sys.stderr.write(
            f"hookline: The system refused{where}: {why}; `hookline doctor` looks for the cause.\n"
        )
        sys.exit(1)


def _open_streams() -> None:
    """Have standard streams that take any text, also where they were closed or are not UTF-8.

    What is opened in place of a closed one keeps its number, so that no connection gets it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - for good
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors="backslashreplace")


def _loaded(name: str) -> TyperCommand | TyperGroup:
    module, _, attribute = _COMMANDS[name].partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        found = alone
    command = get_command(found)
    command.name = name
    return cast("TyperCommand | TyperGroup", command)


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
