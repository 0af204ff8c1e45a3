"""What operators are told of metrics: those that there are, and expressions that name no others."""

import re

import pytest

from hookline.metrics.definitions import FAMILIES, Kind
from support.readme import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SECTION = TEXT.partition("\n## Metrics\n")[2].partition("\n## ")[0]
ROWS = dict(re.findall(r"^\| `(hookline_\w+)`([^|]*)\|", SECTION, re.MULTILINE))
PARTS = {f"{name}_{part}" for name in FAMILIES for part in ("bucket", "sum", "count")}


def test_every_metric_is_explained_and_no_other() -> None:
    assert set(ROWS) == set(FAMILIES)


def test_a_metric_is_explained_with_its_labels(subtests: pytest.Subtests) -> None:
    for name in FAMILIES:
        with subtests.test(name):
            assert re.findall(r"`(\w+)`", ROWS[name]) == list(FAMILIES[name].labels)


def test_expressions_name_what_there_is() -> None:
    named = set(re.findall(r"hookline_\w+", SECTION))
    assert named <= FAMILIES.keys() | PARTS
    for name, label, value in re.findall(r'(hookline_\w+)\{(\w+)!?="(\w+)"\}', SECTION):
        position = FAMILIES[name].labels.index(label)
        assert value in {values[position] for values in FAMILIES[name].series}
    ranged = re.findall(r"(?:rate|increase)\((hookline_\w+)", SECTION)
    assert ranged
    for name in ranged:
        family = FAMILIES.get(name.removesuffix("_bucket"))
        assert family is not None
        assert family.kind is not Kind.GAUGE
