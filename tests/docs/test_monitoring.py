"""The alert rules and the dashboard that operators are given name metrics that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from factories import Json
from hookline.metrics.definitions import FAMILIES, Kind
from support.readme import ROOT

FOLDER = ROOT / "docs" / "operations"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
RULES: list[Json] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD: Json = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
PANELS: list[Json] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
NOT_OURS = {"up", "process_open_fds", "process_max_fds", "process_cpu_seconds_total"} | {
    "process_resident_memory_bytes"
}
PARTS = {f"{name}_{part}": name for name in FAMILIES for part in ("bucket", "sum", "count")}
METRIC = re.compile(r"\b(?:hookline_\w+|process_\w+|up)\b")


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in RULES)
    yield from (target["expr"] for panel in PANELS for target in panel["targets"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed here")
def test_prometheus_takes_the_alert_rules() -> None:
    command = ["promtool", "check", "rules", "--lint-fatal", str(FOLDER / "alerts.yaml")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout + checked.stderr


def test_an_expression_names_what_there_is(subtests: pytest.Subtests) -> None:
    for expression in sorted(set(expressions())):
        with subtests.test(expression):
            named = set(METRIC.findall(expression))
            assert named
            assert named <= FAMILIES.keys() | PARTS.keys() | NOT_OURS
            for metric, selector in re.findall(r"(hookline_\w+)\{([^}]*)\}", expression):
                family = FAMILIES[PARTS.get(metric, metric)]
                for label, value in re.findall(r'(\w+)!?=~?"([^"]*)"', selector):
                    if label != "job":
                        position = family.labels.index(label)
                        assert value in {values[position] for values in family.series}


def test_what_grows_is_asked_for_its_rate_and_nothing_else_is(subtests: pytest.Subtests) -> None:
    for expression in sorted(set(expressions())):
        with subtests.test(expression):
            ranged = set(re.findall(r"(?:rate|increase)\((\w+)", expression))
            for metric in set(METRIC.findall(expression)) - NOT_OURS:
                family = FAMILIES[PARTS.get(metric, metric)]
                assert (metric in ranged) is (family.kind is not Kind.GAUGE), metric
                assert metric in PARTS or family.kind is not Kind.HISTOGRAM


def test_sums_are_kept_apart_by_labels_that_the_metrics_have(subtests: pytest.Subtests) -> None:
    for expression in sorted(set(expressions())):
        with subtests.test(expression):
            metrics = set(METRIC.findall(expression)) - NOT_OURS
            labels = {label for name in metrics for label in FAMILIES[PARTS.get(name, name)].labels}
            for kept in re.findall(r"by \(([^)]*)\)", expression):
                assert set(kept.split(", ")) <= labels | {"le"}


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {
        name
        for panel in PANELS
        for target in panel["targets"]
        for name in METRIC.findall(target["expr"])
    }
    shown = {PARTS.get(name, name) for name in shown}
    elsewhere = {
        "hookline_attempts_held_back_total",
        "hookline_build_info",  # its job is what the dashboard is chosen by
        "hookline_deliveries_created_total",
        "hookline_lanes_paused",
        "hookline_processes",
        "hookline_stream_deliveries_total",
        "hookline_streams_limit",
    }
    assert FAMILIES.keys() - shown == elsewhere


def test_panels_lie_side_by_side_and_have_numbers_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))


def test_each_alert_is_explained_and_no_other() -> None:
    names = [rule["alert"] for rule in RULES]
    assert re.findall(r"^\| `(Hookline\w+)` \|", OPERATIONS, re.MULTILINE) == names
    for rule in RULES:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}
