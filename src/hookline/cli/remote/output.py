"""What operators' commands print: tables on a terminal, tab-separated lines in a pipe, or JSON."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hookline.cli import terminal
from hookline.cli.remote.api import Object

NOTHING = "–"


def show(
    document: object, *, as_json: bool, facts: Sequence[tuple[str, object]], title: str
) -> None:
    """Print one object."""
    if as_json:
        print_json(document)
    else:
        terminal.panel(title, [(name, cell(value)) for name, value in facts])


def show_list(
    items: Iterable[Object],
    *,
    as_json: bool,
    title: str,
    columns: Sequence[str],
    row: Callable[[Object], Sequence[object]],
) -> None:
    """Print a list: in JSON one array, an item a line, written as pages come in."""
    if not as_json:
        terminal.table(title, columns, [[cell(value) for value in row(item)] for item in items])
        return
    written = 0
    for item in items:
        sys.stdout.write(("[\n" if not written else ",\n") + json.dumps(item))
        written += 1
    sys.stdout.write("\n]\n" if written else "[]\n")


def print_json(document: object) -> None:
    """Print a document, readable."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def cell(value: Any) -> str:  # noqa: ANN401 - of a JSON document
    """Write a value for people; control characters of others' data as escapes."""
    match value:
        case None | "":
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:,.2f}"
        case int():
            return f"{value:,}"
        case _:
            return terminal.printable(str(value)).replace("\n", " ")


def time(value: str | None) -> str:
    """Write a timestamp shorter: to the second, in UTC."""
    return NOTHING if value is None else f"{value[:10]} {value[11:19]}Z"
