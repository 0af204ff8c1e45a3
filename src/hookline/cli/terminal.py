"""What people and programs see: rich on a terminal, plain lines elsewhere, or JSON."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

Object = dict[str, Any]  # Any: a JSON object
NOTHING = "–"


def console() -> "Console":
    """Return the console on standard output."""
    from rich.console import Console  # noqa: PLC0415 - 60 ms that `serve` in a pipe saves

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def say(text: str, colours: Mapping[str, str] | None = None) -> None:
    """Print lines at once; on a terminal with words in colours, and never as terminal commands."""
    shown = printable(text)
    if not sys.stdout.isatty():
        sys.stdout.write(f"{shown}\n")
        sys.stdout.flush()
        return
    from rich.text import Text  # noqa: PLC0415 - as above

    line = Text(shown)
    for word, colour in (colours or {}).items():
        line.highlight_words([word], colour)
    console().print(line)


def printable(text: str) -> str:
    """Write control characters and lone surrogates as escapes; line ends stay."""
    return "".join(
        each if each.isprintable() or each == "\n" else f"\\u{ord(each):04x}" for each in text
    )


def panel(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Print named facts, in a frame on a terminal and one a line elsewhere, at once."""
    widest = max(len(name) for name, _ in facts)
    lines = [f"{name:<{widest}}  {value}" for name, value in facts]
    if not sys.stdout.isatty():
        sys.stdout.write("".join(f"{line}\n" for line in (title, *lines)))
        sys.stdout.flush()
        return
    from rich.panel import Panel  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    console().print(Panel(Text("\n".join(lines)), title=title, title_align="left", expand=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows as a table on a terminal, as tab-separated lines elsewhere."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            sys.stdout.write("\t".join(row) + "\n")
        return
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    drawn = Table(title=title, title_justify="left")
    for column in columns:
        drawn.add_column(column, overflow="fold", no_wrap=column == "id")  # to be copied
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console().print(drawn)


def show(
    document: object, *, as_json: bool, facts: Sequence[tuple[str, object]], title: str
) -> None:
    """Print one object."""
    if as_json:
        print_json(document)
    else:
        panel(title, [(name, cell(value)) for name, value in facts])


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
        rows = (zip(columns, row(item), strict=True) for item in items)
        table(title, columns, [[cell(value) for _, value in cells] for cells in rows])
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
            return printable(str(value)).replace("\n", " ")


def time(value: str | None) -> str:
    """Write a timestamp shorter: to the second, in UTC."""
    return NOTHING if value is None else f"{value[:10]} {value[11:19]}Z"
