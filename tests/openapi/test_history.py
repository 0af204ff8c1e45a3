"""What is told from the document's history, over checkouts that are made here."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from apitools.breaks import BadList, breaks_of, intended, unintended
from apitools.changelog import changelog
from apitools.history import History, NoHistory
from apitools.places import DOCUMENT

Node = dict[str, Any]  # Any: a part of a JSON document

FIRST: Node = json.loads(DOCUMENT.read_text(encoding="utf-8")) | {
    "info": {"title": "Hookline", "version": "1.0.0"}
}


class Checkout:
    """A checkout whose only file is the document."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "openapi").mkdir()
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> None:
        who = ("-c", "user.name=A test", "-c", "user.email=test@example.com")
        subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, timeout=60)

    def commit(self, document: Node, *, tag: str | None = None) -> None:
        (self.folder / "openapi/openapi.json").write_text(json.dumps(document), encoding="utf-8")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "A version")
        if tag is not None:
            self.git("tag", tag)

    @property
    def history(self) -> History:
        return History(self.folder)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """A list of intended breaks, below a decision that exists."""
    (tmp_path / "0009.md").write_text("# Stop\n", encoding="utf-8")
    made = tmp_path / "intended.md"
    made.write_text(
        "# Meant\n\n## [0009: Stop](0009.md)\n- GET /v1/deliveries: is gone\n", encoding="utf-8"
    )
    return made


def version(number: str, older: Node = FIRST) -> Node:
    return copy.deepcopy(older) | {"info": {"title": "Hookline", "version": number}}


def without_deliveries(document: Node) -> Node:
    del document["paths"]["/v1/deliveries"]
    return document


def told(checkout: Checkout, document: Node) -> list[str]:
    return [str(change) for change in breaks_of(document, checkout.history)]


def test_a_break_shows_before_it_is_committed_and_after(checkout: Checkout) -> None:
    checkout.commit(FIRST)
    broken = without_deliveries(version("1.0.0"))
    assert told(checkout, FIRST) == []
    assert told(checkout, broken) == ["GET /v1/deliveries: is gone"]
    checkout.commit(broken)
    assert told(checkout, broken) == ["GET /v1/deliveries: is gone"]


def test_what_was_released_counts_however_many_commits_ago(checkout: Checkout) -> None:
    checkout.commit(FIRST, tag="v1.0.0")
    broken = without_deliveries(version("1.1.0"))
    checkout.commit(broken)
    later = version("1.1.0", broken)
    later["info"]["summary"] = "Later"
    checkout.commit(later)
    assert told(checkout, later) == ["GET /v1/deliveries: is gone"]


def test_what_is_listed_below_a_decision_is_intended(checkout: Checkout, listing: Path) -> None:
    checkout.commit(FIRST)
    broken = without_deliveries(version("1.0.0"))
    del broken["webhooks"]["sms:status"]
    [left] = unintended(breaks_of(broken, checkout.history), listing)
    assert str(left) == "webhook `sms:status`: is gone"


def test_a_list_without_a_decision_is_refused(listing: Path) -> None:
    text = listing.read_text(encoding="utf-8").replace("0009.md", "0010.md")
    listing.write_text(text, encoding="utf-8")
    with pytest.raises(BadList, match="links no decision that exists"):
        intended(listing)


def test_the_changelog_tells_each_version_from_the_one_before(
    checkout: Checkout, listing: Path
) -> None:
    checkout.commit(FIRST)
    second = version("1.1.0")
    second["paths"]["/v1/news"] = {"get": second["paths"]["/v1/events"]["get"]}
    checkout.commit(version("1.1.0"))  # an early form of the same version is not told of
    checkout.commit(second)
    third = without_deliveries(version("2.0.0", second))
    text = changelog(third, checkout.history, intended(listing))
    assert text[text.index("## 2.0.0") :] == (
        "## 2.0.0\n\n### Breaking\n\n"
        "- GET /v1/deliveries: is gone ([0009: Stop](0009.md))\n\n"
        "## 1.1.0\n\n### Added\n\n"
        "- GET /v1/news: is new: list accepted events, newest first\n\n"
        "## 1.0.0\n\nThe first version.\n"
    )
    checkout.commit(third)
    assert changelog(third, checkout.history, intended(listing)) == text


def test_without_a_history_nothing_is_claimed(tmp_path: Path) -> None:
    with pytest.raises(NoHistory, match="not a git checkout"):
        History(tmp_path)
