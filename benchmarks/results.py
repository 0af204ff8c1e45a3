"""Writes RESULTS.md: the comparison's rows, and the figures that `make bench` left, if it did."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Drained:
    """One row of the comparison; microseconds of processor time are for one delivery."""

    name: str
    per_s: float
    worker_us: float
    store_us: float
    memory_mb: float


def markdown(
    machine: Mapping[str, Any], rows: Sequence[Drained], seconds: float, figures: Path
) -> str:
    ours = rows[0].per_s
    table = "\n".join(
        f"| {row.name} | {row.per_s:,.0f} | {ours / row.per_s:.1f} × | {row.worker_us:,.0f} |"
        f" {row.store_us:,.0f} | {row.worker_us + row.store_us:,.0f} | {row.memory_mb:,.0f} |"
        for row in rows
    )
    return f"""# Hookline's speed, and what teams run today beside it

Written by `benchmarks/compare.py`. µs: processor time for one delivery.

## The same deliveries with other programs

Deliveries (1.4 kB, two signatures, one webhook on loopback) wait; then the worker starts: one
process each with 64 deliveries in flight, one after another in the same run. The store is the same
Postgres with the same settings; for arq it is a Redis that has each command on disk before it
answers. graphile-worker fetches and completes jobs in batches.

| drain | deliveries/s | Hookline is faster by | µs worker | µs store | µs both | MB |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{table}

{_circumstances(machine)}

    make bench-compare    # compare.py --seconds {seconds:g} --results benchmarks/RESULTS.md
{_scenarios(figures)}"""


def _scenarios(figures: Path) -> str:
    """Return a table of what `hookline bench` wrote, if it has."""
    if not figures.exists():
        return ""
    document = json.loads(figures.read_text(encoding="utf-8"))
    table = "\n".join(_row(name, each) for name, each in document["scenarios"].items())
    return f"""
## The scenarios of `hookline bench`

Latency is from the sending (open loop: from when it was due) to the receipt, accepting included.

| scenario | what | accepted/s | delivered/s | lag s | p50 ms | p99 ms | µs in all | service | MB |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{table}

{_circumstances(document["machine"])}

    make bench    # hookline bench --json benchmarks/figures.json --svg benchmarks/figures.svg

![Deliveries a second, and what each costs](figures.svg)
"""


def _row(name: str, each: Mapping[str, Any]) -> str:
    cpu, latency = each["cpu_us_per_delivery"], each["end_to_end_ms"] or {}
    p50, p99 = (f"{latency[q]:.1f}" if q in latency else "–" for q in ("p50", "p99"))
    return (
        f"| {name} | {each['what']} | {each['accepted_per_s']:,.0f} |"
        f" {each['delivered_per_s']:,.0f} | {each['lag_s']:.2f} | {p50} | {p99} |"
        f" {cpu['total']:,.0f} | {cpu['service']:,.0f} | {each['rss_mb']:,.0f} |"
    )


def _circumstances(machine: Mapping[str, Any]) -> str:
    load = ", ".join(f"{each:g}" for each in machine["load_average_before"])
    return (
        f"{machine['processors']} × {machine['processor']}, Python {machine['python']};"
        f" {machine['layout']}.\nAt {machine['at']}; load average before: {load};"
        f" a page is on disk in {machine['commit_to_disk_ms']} ms."
    )
