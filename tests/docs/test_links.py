"""Every link inside the documents leads somewhere."""

import re
from pathlib import Path

import pytest

from support.readme import README, ROOT

INDEX = ROOT / "docs/README.md"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_links_lead_to_files_and_headings_that_exist(subtests: pytest.Subtests) -> None:
    for document in DOCUMENTS:
        with subtests.test(str(document.relative_to(ROOT))):
            links = LINK.findall(without_code(document.read_text(encoding="utf-8")))
            inside = [link for link in links if not re.match(r"[a-z]+:", link)]

            assert [link for link in inside if not leads_somewhere(document, link)] == []


def test_the_index_names_every_document_by_its_title() -> None:
    named = dict(re.findall(r"\[([^]]+)\]\(([\w/.-]+\.md)\)", INDEX.read_text(encoding="utf-8")))
    others = {path for path in DOCUMENTS if path not in {README, INDEX}}

    assert others == {(INDEX.parent / link).resolve() for link in named.values()} - {README}
    for title, link in named.items():
        if link != "../README.md":
            assert (INDEX.parent / link).read_text(encoding="utf-8").startswith(f"# {title}\n")


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
