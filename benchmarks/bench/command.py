"""`hookline bench`: the real service under load, with figures at the end."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hookline.cli import terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.layout import Layout
    from bench.scenarios import Options, Scenario


def bench(  # noqa: PLR0913 - each is an option of the command
    scenarios: Annotated[
        list[str] | None, typer.Argument(metavar="[SCENARIO]…", help="Which; all by default.")
    ] = None,
    *,
    seconds: Annotated[
        float, typer.Option(min=0.5, max=600, help="How long each scenario is measured.")
    ] = 10.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there.")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw them there as a bar chart.")
    ] = None,
    pin: Annotated[
        bool, typer.Option("--pin/--no-pin", help="Give the service a processor of its own.")
    ] = True,
    in_flight: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="The integrations' maxInFlight; else each scenario's own."
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, max=64, help="Processes of the service; else half the processors, but two."
        ),
    ] = None,
) -> None:
    """Measure the service with its own Postgres, a generator and a receiver on this machine."""
    from bench.layout import layout_of_this_machine, usual_processes  # noqa: PLC0415
    from bench.scenarios import Options  # noqa: PLC0415
    from hookline.server.signals import run_until_stopped  # noqa: PLC0415

    chosen = _chosen(scenarios or [])
    options = Options(seconds, in_flight, processes or usual_processes())
    layout = layout_of_this_machine(pinned=pin, processes=options.processes)
    document: dict[str, Any] = {
        "command": _command([each.name for each in chosen if scenarios], options),
        "scenarios": {},
        "failed": {},
    }

    async def run(_stopping: object) -> None:
        await _measure(chosen, layout, options, document)

    code = run_until_stopped(run)
    if document["scenarios"]:  # also what was measured before a failure or Ctrl-C
        _publish(document, json_file, svg)
    for name, why in document["failed"].items():
        sys.stderr.write(f"hookline: {name}: {why}\n")
    sys.exit(code or (1 if len(document["scenarios"]) < len(chosen) else 0))


def _command(names: "Sequence[str]", options: "Options") -> str:
    """Return what to type for the same figures on another machine."""
    words = ["hookline", "bench", *names, f"--seconds {options.seconds:g}"]
    if options.in_flight is not None:
        words.append(f"--in-flight {options.in_flight}")
    return " ".join([*words, f"--processes {options.processes}"])


def _chosen(names: "Sequence[str]") -> "list[Scenario]":
    from bench.scenarios import SCENARIOS  # noqa: PLC0415

    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"there is no {name!r}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(SCENARIOS)


async def _measure(
    chosen: "Sequence[Scenario]",
    layout: "Layout",
    options: "Options",
    document: dict[str, Any],
) -> None:
    """Run one scenario after another, and note each as soon as it has its figures."""
    from bench import flows, ratios, report  # noqa: PLC0415
    from bench.processes import BenchFailed  # noqa: PLC0415
    from bench.progress import progress_display  # noqa: PLC0415

    document["machine"] = report.machine(layout, options)
    for scenario in chosen:
        try:
            with progress_display(scenario.name) as progress:
                figures = await flows.run(scenario, layout, progress, options)
        except BenchFailed as error:
            document["failed"][scenario.name] = str(error)
        else:
            document["scenarios"][scenario.name] = figures
    ratios.relate(document["scenarios"])


def _publish(document: dict[str, Any], json_file: Path | None, svg: Path | None) -> None:
    from bench import chart, report  # noqa: PLC0415

    report.show(document)
    if json_file is not None:
        json_file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        terminal.say(f"Figures are in {json_file}.")
    if svg is not None:
        svg.write_text(chart.svg(document))
        terminal.say(f"The chart is in {svg}.")
