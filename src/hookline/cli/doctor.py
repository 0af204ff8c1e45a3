"""`hookline doctor`: what is wrong with this machine, its settings and the database."""

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hookline.cli import terminal
from hookline.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookline.cli.checks import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False
) -> None:
    """Check what the service needs of this machine, and say how to mend what is wrong.

    With the settings that `serve` would have here, while it runs or not. Nothing is changed. Exit
    code 1 where something would keep the service from its work; warnings alone are 0.
    """
    found = _examined()
    failed = any(each.failed for each in found)
    if as_json:
        checks = [each.document() for each in found]
        sys.stdout.write(json.dumps({"ok": not failed, "checks": checks}, indent=2) + "\n")
    else:
        terminal.say("\n".join(_lines(found)), _COLOURS)
    if failed:
        raise typer.Exit(1)


def _examined() -> "Sequence[Finding]":
    from hookline import logs  # noqa: PLC0415
    from hookline.cli.checks import (  # noqa: PLC0415
        failed,
        machine,
        ok,
    )
    from hookline.cli.checks_database import database  # noqa: PLC0415
    from hookline.settings import load_settings  # noqa: PLC0415

    try:
        settings = load_settings()
    except ConfigurationError as error:
        return [failed("settings", str(error), "`hookline settings` lists them all.")]
    logs.configure(level="ERROR", console=True)

    async def examined() -> "Sequence[Finding]":
        return [*await machine(settings), *await database(settings)]

    return [ok("settings", "all can be read"), *asyncio.run(examined())]


def _lines(found: "Sequence[Finding]") -> list[str]:
    widest = max(len(each.name) for each in found)
    lines = []
    for each in found:
        lines.append(f"{each.status.value:<8} {each.name:<{widest}}  {each.detail}")
        if each.advice is not None:
            lines.append(f"{'':<8} {'':<{widest}}  → {each.advice}")
    return lines
