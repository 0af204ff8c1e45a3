"""The changelog is about the version and the migrations that are here."""

import re

from hookline import __version__
from support.readme import ROOT


def test_its_newest_entry_is_this_version_with_the_newest_migration() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = max(path.name[:4] for path in (ROOT / "migrations/versions").glob("[0-9]*.py"))
    version = re.search(r"^## (\S+)$", text, re.MULTILINE)
    migrations = re.search(r"Migrations \d{4} to (\d{4})", text)

    assert version
    assert version[1] == __version__
    assert migrations
    assert migrations[1] == newest
