"""`hookline settings` and `hookline openapi`: every setting, and the OpenAPI document."""

import sys
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from hookline.cli import terminal
from hookline.cli.remote.api import AsJson
from hookline.errors import ConfigurationError

_MASK = "••••••••"


def settings(*, as_json: AsJson = False) -> None:
    """List every setting: value, default, source and what it is for. Secrets are masked."""
    from hookline.settings import PREFIX, Settings, load_settings, source_of  # noqa: PLC0415

    chosen = load_settings()
    rows = [
        (
            f"{PREFIX}{name.upper()}",
            text_of(getattr(chosen, name)),
            source_of(name),
            text_of(field.get_default()),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
    if as_json:
        members = ("setting", "value", "from", "default", "purpose")
        terminal.print_json([dict(zip(members, row, strict=True)) for row in rows])
    elif sys.stdout.isatty():
        for name, value, source, default, purpose in rows:
            where = source if source == "default" else f"{source}; default {default}"
            terminal.say(f"{name} = {value}  ({where})", {name: "bold", f"({where})": "dim"})
            terminal.say(textwrap.indent(textwrap.fill(purpose, 90), "    "))
    else:
        columns = ("setting", "value", "from", "default", "what it is for")
        terminal.table("Settings", columns, rows)


def text_of(value: Any) -> str:  # noqa: ANN401 - a setting of any type
    """Write a value as its variable would hold it; a secret never."""
    from pydantic import SecretStr  # noqa: PLC0415

    if isinstance(value, tuple):
        return ",".join(map(text_of, value)) or "–"
    match value:
        case None:
            return "–"
        case SecretStr():
            return _MASK
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def openapi(
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file instead of the terminal.")
    ] = None,
) -> None:
    """Print the OpenAPI document of this version."""
    from hookline.app import openapi_document  # noqa: PLC0415

    text = openapi_document()
    if output is None:
        sys.stdout.write(text)
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            message = f"{output} cannot be written ({error.strerror}); name another file."
            raise ConfigurationError(message) from error
