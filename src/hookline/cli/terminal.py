"""What people and programs see: rich on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


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
