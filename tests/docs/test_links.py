"""Every link inside the documents leads somewhere."""

import re
from pathlib import Path

import pytest

from support.readme import README, ROOT

DOCUMENTS = [README, *sorted((ROOT / "docs").glob("**/*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_links_lead_to_files_and_headings_that_exist(subtests: pytest.Subtests) -> None:
    for document in DOCUMENTS:
        with subtests.test(str(document.relative_to(ROOT))):
            links = LINK.findall(without_code(document.read_text(encoding="utf-8")))
            inside = [link for link in links if not re.match(r"[a-z]+:", link)]

            assert [link for link in inside if not leads_somewhere(document, link)] == []


def leads_somewhere(document: Path, link: str) -> bool:
    path, _, heading = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not heading or heading in anchors(target)


def anchors(document: Path) -> set[str]:
    """Return the headings as a renderer names them in addresses."""
    titles = re.findall(r"^#+ (.+)$", without_code(document.read_text("utf-8")), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in plain}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
