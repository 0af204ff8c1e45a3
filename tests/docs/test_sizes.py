"""How long files are, as docs/architecture.md says, and functions."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST_FUNCTION = 40  # lines: what a screen shows


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


def test_no_function_of_the_package_is_longer_than_a_screen() -> None:
    lengths = {
        f"{file.relative_to(ROOT)}:{found.lineno} {found.name}": found.end_lineno - found.lineno + 1
        for file in (ROOT / "src").rglob("*.py")
        for found in ast.walk(ast.parse(file.read_text()))
        if isinstance(found, (ast.FunctionDef, ast.AsyncFunctionDef)) and found.end_lineno
    }
    assert len(lengths) > 1000
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}
