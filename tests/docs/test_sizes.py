"""What docs/architecture.md says of how long files are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_file_is_longer_than_the_architecture_says() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    [most] = re.findall(r"lines on average, none above (\d+): one idea each", text)
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text().splitlines())
        for folder in ("src", "tests", "benchmarks", "openapi")
        for file in (ROOT / folder).rglob("*.py")
        if "node_modules" not in file.parts
    }
    assert len(lengths) > 100
    assert {name: lines for name, lines in lengths.items() if lines > int(most)} == {}
