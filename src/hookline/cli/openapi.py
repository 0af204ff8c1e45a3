"""`hookline openapi`: the API's description, as clients are generated from it."""

import sys
from pathlib import Path
from typing import Annotated

import typer


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
        output.write_text(text, encoding="utf-8")
