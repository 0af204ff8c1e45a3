"""Progress of a scenario: a live line on a terminal, a line for each phase elsewhere."""

import sys
from typing import TYPE_CHECKING, Protocol, Self

from hookline.cli import terminal

if TYPE_CHECKING:
    from rich.progress import TaskID


class ProgressDisplay(Protocol):
    """Shows the progress of a scenario."""

    def phase(self, what: str, total: int | None = None) -> None:
        """Begin a phase; `total` is what its count will come to, where that is known."""

    def at(self, count: int) -> None:
        """Tell how far it is."""


class Lines:
    """Tells each phase in a line."""

    def __init__(self, scenario: str) -> None:
        self._scenario = scenario

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: each line is complete."""

    def phase(self, what: str, total: int | None = None) -> None:
        """Print the phase."""
        terminal.say(f"{self._scenario}: {what}{'' if total is None else f', {total:,}'} …")

    def at(self, count: int) -> None:
        """Say nothing: there is no line to change."""


class Bar:
    """Tells everything in one live line."""

    def __init__(self, scenario: str) -> None:
        from rich.progress import (  # noqa: PLC0415 - as in terminal
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        self._scenario = scenario
        self._progress: Progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[scenario]:<8} {task.description:<20}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:>11,.0f}"),
            TimeElapsedColumn(),
            console=terminal.console(),
            refresh_per_second=4,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        self._progress.stop()

    def phase(self, what: str, total: int | None = None) -> None:
        """Show the phase instead of the one before."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(what, total=total, scenario=self._scenario)

    def at(self, count: int) -> None:
        """Show how far it is."""
        if self._task is not None:
            self._progress.update(self._task, completed=count)


def progress_display(scenario: str) -> Lines | Bar:
    """Return what fits standard output."""
    return Bar(scenario) if sys.stdout.isatty() else Lines(scenario)
