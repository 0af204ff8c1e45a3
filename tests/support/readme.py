"""The documents as readers use them: code blocks, and the table of settings that is written in one.

`PYTHONPATH=tests python -m support.readme` writes the table anew; `make format` does.
"""

import re
from pathlib import Path

from hookline.cli.show import text_of
from hookline.settings import Settings

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
SETTINGS = ROOT / "docs" / "settings.md"
_BEGIN, _END = "<!-- settings: written by `make format` -->", "<!-- end of settings -->"


def code_blocks(language: str, *, under: str, of: Path = README) -> list[str]:
    """Return a document's blocks of a language in the section of this title."""
    text = of.read_text(encoding="utf-8")
    _, found, rest = text.partition(f"\n## {under}\n")
    assert found, f"{of.name} has no section {under!r}"
    section = rest.partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


def with_settings(text: str) -> str:
    """Return the text with the table of the settings as they are now."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{settings_table()}{_END}{after}"


def settings_table() -> str:
    """Return every setting with its default, and the first sentence of what it is for."""
    rows = [
        f"| `{name.upper()}` | {_default(field.get_default())} | {_sentence(field.description)} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| setting | default | what it is for |", "| --- | --- | --- |", *rows, ""])


def _default(value: object) -> str:
    text = text_of(value)
    return text if text == "–" else f"`{text}`"


def _sentence(description: str | None) -> str:
    assert description is not None
    return re.split(r"(?<=\.) (?=[A-Z0-9])", description)[0].removesuffix(".").replace("|", r"\|")


def main() -> None:
    """Write the table."""
    SETTINGS.write_text(with_settings(SETTINGS.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
