"""The names and labels of metrics, as Prometheus wants them."""

import re

import pytest

from hookline.metrics.definitions import FAMILIES, Kind

CLOSED = {"result", "reason", "status", "state", "transmission", "outcome", "error", "version"}


def test_a_metric_is_named_as_prometheus_names_them(subtests: pytest.Subtests) -> None:
    for name in FAMILIES:
        with subtests.test(name):
            family = FAMILIES[name]
            assert re.fullmatch(r"hookline_[a-z_]+", name)
            assert name.endswith("_total") == (family.kind is Kind.COUNTER)
            assert name.endswith("_seconds") == (family.kind is Kind.HISTOGRAM)
            assert family.help.endswith(".")
            assert not re.search(r"_(ms|milliseconds|kb|percent|count)(_|$)", name)


def test_labels_have_closed_lists_of_values(subtests: pytest.Subtests) -> None:
    for name in FAMILIES:
        with subtests.test(name):
            family = FAMILIES[name]
            assert set(family.labels) <= CLOSED
            if name != "hookline_build_info":
                assert family.series
                assert all(len(values) == len(family.labels) for values in family.series)
                assert len(set(family.series)) == len(family.series)


def test_bounds_go_up(subtests: pytest.Subtests) -> None:
    for name in [n for n, each in FAMILIES.items() if each.bounds]:
        with subtests.test(name):
            bounds = FAMILIES[name].bounds
            assert list(bounds) == sorted(set(bounds))
