"""The figures for people and for programs."""

import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import Any

import psutil

from bench import ratios
from bench.layout import Layout
from bench.scenarios import WHOLE, Options
from hookline import __version__
from hookline.cli import terminal

Figures = Mapping[str, Any]  # of one scenario, as the JSON has them

_COLUMNS = (
    "scenario",
    "accepted/s",
    "delivered/s",
    "lag s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "sent p99",
    "µs service",
    "Postgres",
    "receiver",
    "generator",
    "total",
    "MB",
    "trips",
    "WAL B",
)
PROMISES = ("measured of the others", "is", "at most", "")
_GIBIBYTE = 1 << 30
_DISTURBED = 0.1  # share of the time
_PAGES, _PAGE = 100, 8_192  # how often, and how many bytes at a time


def machine(layout: Layout, options: Options) -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "hookline": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / _GIBIBYTE, 1),
        "load_average_before": [round(each, 2) for each in os.getloadavg()],
        "layout": str(layout),
        "commit_to_disk_ms": _commit_to_disk(),
        "seconds": options.seconds,
        "service_processes": options.processes,
        "max_in_flight": options.in_flight or "each scenario's own",
        "durability": "fsync and synchronous_commit on",
        "latency": "latency_ms: from the 202's arrival at the sender to the delivery's arrival;"
        " end_to_end_ms: from the sending (open loop: from when it was due)",
    }


def show(document: Mapping[str, Any]) -> None:
    """Print the table and what has to be known to read it."""
    scenarios: Mapping[str, Figures] = document["scenarios"]
    around = document["machine"]
    title = f"hookline bench, {around['seconds']:g} s a phase"
    terminal.table(title, _COLUMNS, [_row(name, each) for name, each in scenarios.items()])
    if shares := ratios.rows(scenarios):
        terminal.table("the others, beside", ratios.COLUMNS, shares)
    for name, figures in scenarios.items():
        if verdicts := figures.get("verdicts"):
            terminal.table(f"what {name} costs the others", PROMISES, map(judged, verdicts))
    before = ", ".join(f"{each:g}" for each in around["load_average_before"])
    terminal.say(
        f"{around['processors']} × {around['processor']}; {around['layout']}."
        f" Load average before: {before}. A page is on disk in {around['commit_to_disk_ms']:g} ms."
    )
    terminal.say(
        "µs: processor time for one delivery. Latency: from the 202 to the receipt, 0 where the"
        " receipt was first; `sent`: from the sending."
    )
    for proviso in provisos(around):
        terminal.say(proviso)
    for name, figures in scenarios.items():
        for remark in remarks(figures):
            terminal.say(f"{name}: {remark}", {name: "bold yellow"})


def provisos(around: Mapping[str, Any]) -> list[str]:
    """Return what has to be known of all figures of a run."""
    if around["seconds"] >= WHOLE:
        return []
    what = "fewer integrations, and less that waits, than the scenarios say"
    return [f"A run of less than {WHOLE:g} s prepares less: {what}."]


def remarks(figures: Figures) -> list[str]:
    """Return what is wrong with, or special about, a scenario's figures, as sentences."""
    found = []
    if figures["measures_the_load"]:
        found.append(
            f"generator and receiver took {figures['load_share']:.0%} of all processor time, more"
            " than a fifth: the figure measures them, not the service."
        )
    if figures["waited_for_processor"] > _DISTURBED:
        found.append(
            f"the service waited for its processor {figures['waited_for_processor']:.0%} of the"
            " time: other programs had it."
        )
    if figures["missing"]:
        found.append(f"{figures['missing']:,} deliveries did not arrive in time.")
    if figures["duplicate_deliveries"]:
        found.append(f"{figures['duplicate_deliveries']:,} deliveries arrived more than once.")
    if figures["signatures_wrong"] or not figures["signatures_checked"]:
        wrong, checked = figures["signatures_wrong"], figures["signatures_checked"]
        found.append(f"{wrong:,} of {checked:,} checked signatures were wrong.")
    if figures["refused"]:
        found.append(f"{figures['refused']:,} events were not accepted: {figures['refusal']}")
    if not figures["settled"]:
        found.append("outcomes were still unwritten seconds after the last delivery.")
    if figures["errors"]:
        found.append(f"the service logged errors: {', '.join(figures['errors'])}.")
    return [*found, *_particulars(figures)]


def _particulars(figures: Figures) -> Iterator[str]:
    if "flood_share" in figures:
        yield f"{figures['flood_share']:.0%} of the events were the flood's."
    if figures.get("paused_at_end"):
        yield f"{figures['paused_at_end']:,} integrations were paused at the end."
    for kind, answers in figures.get("attack", {}).items():
        told = ", ".join(f"{count:,} × {status}" for status, count in sorted(answers.items()))
        yield f"{kind} were answered {told}."
    if at_once := figures.get("at_once"):
        yield (
            f"each origin had {at_once['p50']} requests at once (median of all arrivals),"
            f" {at_once['most']} at most."
        )
    if "filled_by" in figures:
        yield f"{figures['waiting']:,} deliveries waited, put there by SQL."


def judged(verdict: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a promise's row: what was measured, how much it is, the most, and whether it holds."""
    held = "pass" if verdict["holds"] else "FAIL"
    return verdict["what"], f"{verdict['measured']:g}", f"{verdict['most']:g}", held


def _row(name: str, figures: Figures) -> tuple[str, ...]:
    latency, whole = figures["latency_ms"] or {}, figures["end_to_end_ms"] or {}
    cpu = figures["cpu_us_per_delivery"]
    return (
        name,
        f"{figures['accepted_per_s']:,.0f}",
        f"{figures['delivered_per_s']:,.0f}",
        f"{figures['lag_s']:.2f}",
        *(f"{latency[q]:.1f}" if q in latency else "–" for q in ("p50", "p99", "p999")),
        f"{whole['p99']:.1f}" if "p99" in whole else "–",
        *(f"{cpu[role]:.0f}" for role in ("service", "postgres", "receiver", "generator", "total")),
        f"{figures['rss_mb']:.0f}",
        f"{figures['round_trips_per_delivery']:.3f}",
        f"{figures['wal_bytes_per_delivery']:,}",
    )


def _commit_to_disk() -> float:
    """Return the median time, in milliseconds, until a page is on the temporary files' disk.

    No durable service can answer sooner, and a busy disk explains a bad figure.
    """
    took = []
    with TemporaryFile() as file:
        for _ in range(_PAGES):
            began = time.perf_counter()
            file.write(bytes(_PAGE))
            file.flush()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1000, 2)


def _processor() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - no path to keep
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
