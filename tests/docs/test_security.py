"""What docs/security.md says of bounds is so: settings, defaults, and tests that hold them."""

import re

from hookline.cli.show import text_of
from hookline.settings import Settings
from support.readme import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
BOUNDS = TEXT.partition("\n## Bounds\n")[2].partition("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in BOUNDS.splitlines()
    if line.startswith("| ")
][2:]  # behind the names of the columns and the line below them
DEFAULTS = {
    name.upper(): text_of(field.get_default()) for name, field in Settings.model_fields.items()
}


def test_settings_that_are_named_exist() -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", TEXT))
    assert named >= {"MAX_PENDING", "MAX_INTEGRATIONS_PER_PBX"}
    assert named - set(DEFAULTS) - {"AWS_SQS"} == set()


def test_each_bound_has_its_default() -> None:
    told = {row[1].strip("`"): row[2].strip("`") for row in ROWS if row[1].startswith("`")}
    assert told == {name: DEFAULTS[name] for name in told}
    bounds = {name for name in DEFAULTS if name.startswith("MAX_PENDING") or "_PER_" in name}
    assert bounds <= set(told)


def test_each_bound_names_a_test_and_each_test_exists() -> None:
    assert [row for row in ROWS if "`tests/" not in row[5]] == []
    named = re.findall(r"tests/[\w/]+\.py", TEXT)
    assert [path for path in named if not (ROOT / path).is_file()] == []
