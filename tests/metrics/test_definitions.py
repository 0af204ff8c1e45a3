"""The names and labels of metrics, as Prometheus wants them."""

import re

import pytest

from hookline.metrics.definitions import FAMILIES, Kind

CLOSED = {"result", "reason", "status", "state", "transmission", "outcome", "error", "version"}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_metric_is_named_as_prometheus_names_them(name: str) -> None:
    family = FAMILIES[name]
    assert re.fullmatch(r"hookline_[a-z_]+", name)
    assert name.endswith("_total") == (family.kind is Kind.COUNTER)
    assert name.endswith("_seconds") == (family.kind is Kind.HISTOGRAM)
    assert family.help.endswith(".")
    assert not re.search(r"_(ms|milliseconds|kb|percent|count)(_|$)", name)


@pytest.mark.parametrize("name", FAMILIES)
def test_labels_have_closed_lists_of_values(name: str) -> None:
    family = FAMILIES[name]
    assert set(family.labels) <= CLOSED
    if name != "hookline_build_info":
        assert family.series
        assert all(len(values) == len(family.labels) for values in family.series)
        assert len(set(family.series)) == len(family.series)


@pytest.mark.parametrize("name", [n for n, each in FAMILIES.items() if each.bounds])
def test_bounds_go_up(name: str) -> None:
    bounds = FAMILIES[name].bounds
    assert list(bounds) == sorted(set(bounds))
