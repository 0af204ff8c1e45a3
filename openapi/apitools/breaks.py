"""May this document take the place of the last one? Only if nobody's program stops working.

Or if it is meant to: then `intended-breaks.md` lists the change, word for word, below a heading
that links the decision.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from apitools.changes import Change
from apitools.compare import compare
from apitools.history import Document, History


class BadList(Exception):
    """The list of intended breaks is not in order; the message says what to mend."""


def breaks_of(document: Document, history: History) -> list[Change]:
    """Return what breaks against the last other version, and against the last release."""
    olders = [next((old for old in history.committed() if old != document), None)]
    olders.append(history.released())
    changes = [change for old in olders if old is not None for change in compare(old, document)]
    return list(dict.fromkeys(change for change in changes if change.breaks))


def intended(listing: Path) -> dict[str, str]:
    """Return the intended breaks, each with the heading that it is listed below."""
    heading, found = "", {}
    for line in listing.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
            _check_decision(heading, listing)
        elif line.startswith("- ") and heading:
            found[line.removeprefix("- ")] = heading
    return found


def unintended(changes: Iterable[Change], listing: Path) -> list[Change]:
    """Return the breaks that are not on the list."""
    listed = intended(listing)
    return [change for change in changes if str(change) not in listed]


def _check_decision(heading: str, listing: Path) -> None:
    link = re.search(r"\]\((.+?)\)", heading)
    if link is None or not (listing.parent / link[1]).is_file():
        raise BadList(f"{listing.name}: the heading {heading!r} links no decision that exists.")
