"""Writes the three parts of RESULTS.md, each of which keeps the others'.

    .venv/bin/python benchmarks/results.py FIGURES --results FILE

shows what `hookline bench --json FIGURES` measured; compare.py writes the comparison, and
workers.py what several workers do with one backlog.
"""

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import ratios, report

EMPTY = """# Hookline's speed, and what teams run today beside it

What each figure means: [docs/benchmark.md](../docs/benchmark.md).
µs: processor time for one delivery.

<!-- comparison: written by `make bench-compare` -->
<!-- end of comparison -->

<!-- tls-comparison: written by `make bench-compare` -->
<!-- end of tls-comparison -->

<!-- steady-comparison: written by `make bench-compare` -->
<!-- end of steady-comparison -->

<!-- tls-steady-comparison: written by `make bench-compare` -->
<!-- end of tls-steady-comparison -->

<!-- fanout-comparison: written by `make bench-compare` -->
<!-- end of fanout-comparison -->

<!-- tls-fanout-comparison: written by `make bench-compare` -->
<!-- end of tls-fanout-comparison -->

<!-- scenarios: written by `make bench-results` -->
<!-- end of scenarios -->

<!-- workers: written by `make bench-workers` -->
<!-- end of workers -->
"""
GOALS = {"Procrastinate": 40.0, "graphile-worker": 1.7}
"""How many times as many deliveries a second Hookline is to make, by the beginning of a name."""
SCENARIO_COLUMNS = (
    *("scenario", "what", "accepted/s", "delivered/s", "lag s", "p50 ms", "p99 ms"),
    *("sent p50", "sent p99", "µs in all", "service", "load", "MB"),
)


@dataclass(frozen=True)
class Drained:
    """One row of the comparison; microseconds of processor time are for one delivery."""

    name: str
    per_s: float
    worker_us: float
    store_us: float
    memory_mb: float  # of the largest process
    late_ms: tuple[float, float] | None = None  # p50 and p99, where jobs come at a rate


@dataclass(frozen=True)
class Setting:
    """What a comparison is made with."""

    seconds: float
    processes: int
    tls: bool = False
    rate: float | None = None  # jobs a second; None: as fast as they are made
    fanout: int | None = (
        None  # deliveries of each event, enqueued meanwhile; None: one, and all wait
    )

    @property
    def kind(self) -> str:
        """What is compared."""
        if self.rate is not None:
            return "steady"
        return "drain" if self.fanout is None else "fanout"

    @property
    def part(self) -> str:
        """The name of its part of RESULTS.md."""
        kind = "comparison" if self.kind == "drain" else f"{self.kind}-comparison"
        return f"tls-{kind}" if self.tls else kind

    @property
    def command(self) -> str:
        """What to type for the same figures on another machine."""
        words = [f"--seconds {self.seconds:g}", f"--processes {self.processes}"]
        words += ["--tls"] * self.tls
        if self.rate is not None:
            words.append(f"--rate {self.rate:g}")
        if self.fanout is not None:
            words.append(f"--fanout {self.fanout}")
        return " ".join([".venv/bin/python benchmarks/compare.py", *words])


def write(file: Path, name: str, part: str) -> None:
    """Put a part into the file in place of what it held of that name."""
    text = file.read_text(encoding="utf-8") if file.exists() else EMPTY
    file.write_text(with_part(text, name, part), encoding="utf-8")


def with_part(text: str, name: str, part: str) -> str:
    """Return the text with what stands between a part's two marks replaced."""
    marks = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if not marks.search(text):
        raise ValueError(f"The marks around {name!r} are gone; put them back, or start anew.")
    return marks.sub(lambda found: f"{found[1]}\n{part.strip()}\n\n{found[2]}", text)


def comparison(machine: Mapping[str, Any], rows: Sequence[Drained], setting: Setting) -> str:
    """Return the part that compares programs; the first row is Hookline's."""
    ours = rows[0].per_s
    steady = setting.kind == "steady"
    own = ("p50 ms", "p99 ms") if steady else ("Hookline is faster by", "goal")
    table = _table(
        (setting.kind, "deliveries/s", *own, "µs worker", "µs store", "µs both", "MB a process"),
        (
            (
                row.name,
                f"{row.per_s:,.0f}",
                *(_late(row) if steady else _faster(ours, row)),
                *(f"{us:,.0f}" for us in (row.worker_us, row.store_us)),
                f"{row.worker_us + row.store_us:,.0f}",
                f"{row.memory_mb:,.0f}",
            )
            for row in rows
        ),
    )
    over = " over TLS" if setting.tls else ""
    what = {"steady": ", at a rate", "fanout": f", {setting.fanout} of each event"}
    return f"""## The same deliveries with other programs{what.get(setting.kind, "")}{over}

Deliveries have 1.4 kB, two signatures and one webhook on loopback{over}. {_how(setting)}
with 64 deliveries in flight in each, one program after another in the same run. The store is
the same Postgres with the same settings; for arq it is a Redis that has each command on disk before
it answers. graphile-worker fetches and completes jobs in batches.

{table}

{_circumstances(machine)}

    {setting.command}
"""


def _how(setting: Setting) -> str:
    processes = setting.processes
    many = "one process" if processes == 1 else f"{processes} processes"
    match setting.kind:
        case "steady":
            return (
                f"{setting.rate:g} a second are enqueued one by one;\nhow late each comes is told"
                f" from when it was due. {many.capitalize()} each,"
            )
        case "fanout":
            return (
                f"Each event has\n{setting.fanout} of them: the others are given a job for each,"
                " all of an event in one call, while\nthey work; their callers' processor time is"
                f" left out. {many.capitalize()} each,"
            )
        case _:
            return f"They wait; then the worker\nstarts: {many} each,"


def _faster(ours: float, row: Drained) -> tuple[str, str]:
    """Return how many times faster Hookline is than a program, and whether that is its goal."""
    times = ours / row.per_s
    for name, goal in GOALS.items():
        if row.name.startswith(name):
            return f"{times:.1f} ×", f"{goal:g} ×: {'met' if times >= goal else 'MISSED'}"
    return f"{times:.1f} ×", "–"


def _late(row: Drained) -> tuple[str, ...]:
    return tuple(f"{each:,.1f}" for each in row.late_ms or ())


def workers(machine: Mapping[str, Any], rows: Sequence[Drained], count: int) -> str:
    """Return the part that tells how several workers share a backlog; each row is a number."""
    table = _table(
        ("workers", "deliveries/s", "µs workers", "µs Postgres", "µs both", "MB a process"),
        (
            (
                row.name,
                f"{row.per_s:,.0f}",
                *(f"{us:,.0f}" for us in (row.worker_us, row.store_us)),
                f"{row.worker_us + row.store_us:,.0f}",
                f"{row.memory_mb:,.0f}",
            )
            for row in rows
        ),
    )
    numbers = " ".join(row.name for row in rows)
    return f"""## Several workers on one backlog

{count:,} deliveries wait in one Postgres; then so many `hookline worker` start. Every delivery came
once: the program fails otherwise. Workers, Postgres and the receiver share the processors.

{table}

{_circumstances(machine)}

    .venv/bin/python benchmarks/workers.py --deliveries {count} {numbers}
"""


def scenarios(document: Mapping[str, Any], drawing: str | None = None) -> str:
    """Return the part that shows a result of `hookline bench`, and a drawing of it."""
    measured: Mapping[str, Mapping[str, Any]] = document["scenarios"]
    parts = [
        "## The scenarios of `hookline bench`",
        _table(SCENARIO_COLUMNS, [_row(name, each) for name, each in measured.items()], words=2),
    ]
    if shares := ratios.rows(measured):
        parts += ["### What the others get", _table(ratios.COLUMNS, shares)]
    for name, each in measured.items():
        if verdicts := each.get("verdicts"):
            title = f"### What {name} costs the others"
            parts += [title, _table(report.PROMISES, map(report.judged, verdicts))]
    said = [f"- {each}" for each in report.provisos(document["machine"])]
    said += [f"- {name}: {each}" for name, one in measured.items() for each in report.remarks(one)]
    said += [f"- {name} could not be run: {why}" for name, why in document["failed"].items()]
    parts += ["\n".join(said)] if said else []
    parts += [_circumstances(document["machine"]), f"    {document['command']}"]
    if drawing is not None:
        parts.append(f"![Deliveries a second, and what each costs]({drawing})")
    return "\n\n".join(parts)


def _row(name: str, each: Mapping[str, Any]) -> tuple[str, ...]:
    cpu, latency, whole = (
        each[key] or {} for key in ("cpu_us_per_delivery", "latency_ms", "end_to_end_ms")
    )
    return (
        name,
        each["what"],
        f"{each['accepted_per_s']:,.0f}",
        f"{each['delivered_per_s']:,.0f}",
        f"{each['lag_s']:.2f}",
        *(f"{of[q]:,.1f}" if q in of else "–" for of in (latency, whole) for q in ("p50", "p99")),
        *(f"{cpu[part]:,.0f}" for part in ("total", "service")),
        f"{cpu['receiver'] + cpu['generator']:,.0f}",
        f"{each['rss_mb']:,.0f}",
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """Return a table whose first columns hold words, and the others numbers."""
    rule = ["---"] * words + ["---:"] * (len(columns) - words)
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, rule, *rows))


def _circumstances(machine: Mapping[str, Any]) -> str:
    load = ", ".join(f"{each:g}" for each in machine["load_average_before"])
    return (
        f"{machine['processors']} × {machine['processor']}, Python {machine['python']};"
        f" {machine['layout']}.\nAt {machine['at']}; load average before: {load};"
        f" a page is on disk in {machine['commit_to_disk_ms']} ms."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("--results", type=Path, required=True)
    chosen = parser.parse_args()
    document = json.loads(chosen.figures.read_text(encoding="utf-8"))
    drawing = chosen.figures.with_suffix(".svg")
    beside = drawing.exists() and drawing.parent.samefile(chosen.results.parent)
    write(chosen.results, "scenarios", scenarios(document, drawing.name if beside else None))
    print(f"The scenarios are in {chosen.results}.")


if __name__ == "__main__":
    main()
