"""The filters of docs/filters.md's cookbook, each on the events of tests/events."""

import json
import re
from pathlib import Path

import pytest

from hookline.domain.filters import parse_filter

TESTS = Path(__file__).parents[1]
EVENTS = {path.stem: json.loads(path.read_text()) for path in TESTS.glob("events/*/*.json")}
COOKBOOK = (TESTS.parent / "docs" / "filters.md").read_text().partition("## Cookbook")[2]
RECIPES = re.findall(
    r"^### (.+?)\n.*?```json\n(.*?)```\nPass: (.+?)\.$", COOKBOOK, re.DOTALL | re.MULTILINE
)


def test_the_cookbook_has_ten_filters() -> None:
    assert len(RECIPES) == COOKBOOK.count("### ") == 10


@pytest.mark.parametrize(("title", "pattern", "passing"), RECIPES)
def test_a_recipe_lets_pass_what_it_says(title: str, pattern: str, passing: str) -> None:
    compiled = parse_filter(json.loads(pattern))
    passed = {name for name, event in EVENTS.items() if compiled.matches(event)}
    assert passed == set(re.findall("`(.+?)`", passing)), title
