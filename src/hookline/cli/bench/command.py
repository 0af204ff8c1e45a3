"""`hookline bench`: the real service under load, with figures at the end."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hookline.cli import terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hookline.cli.bench.layout import Layout
    from hookline.cli.bench.scenarios import Scenario


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
        typer.Option(min=1, max=1000, help="The integrations' maxInFlight; else the default."),
    ] = None,
) -> None:
    """Measure the service with its own Postgres, a generator and a receiver on this machine."""
    from hookline.cli.bench.layout import layout_of_this_machine  # noqa: PLC0415
    from hookline.cli.stopping import run_until_stopped  # noqa: PLC0415

    chosen = _chosen(scenarios or [])
    layout = layout_of_this_machine(pinned=pin)
    document: dict[str, Any] = {}

    async def run(_stopping: object) -> None:
        document.update(await _measure(chosen, layout, seconds=seconds, in_flight=in_flight))

    code = run_until_stopped(run)
    if not document:
        sys.exit(code or 1)
    _publish(document, json_file, svg)


def _chosen(names: "Sequence[str]") -> "list[Scenario]":
    from hookline.cli.bench.scenarios import SCENARIOS  # noqa: PLC0415

    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"there is no {name!r}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(SCENARIOS)


async def _measure(
    chosen: "Sequence[Scenario]", layout: "Layout", *, seconds: float, in_flight: int | None
) -> dict[str, Any]:
    from hookline.cli.bench import flows, report  # noqa: PLC0415
    from hookline.cli.bench.telling import teller  # noqa: PLC0415

    document: dict[str, Any] = {
        "scenarios": {},
        "machine": report.machine(layout, seconds=seconds),
    }
    for scenario in chosen:
        with teller(scenario.name) as tell:
            document["scenarios"][scenario.name] = await flows.run(
                scenario, layout, tell, seconds=seconds, in_flight=in_flight
            )
    return document


def _publish(document: dict[str, Any], json_file: Path | None, svg: Path | None) -> None:
    from hookline.cli.bench import chart, report  # noqa: PLC0415

    report.show(document)
    if json_file is not None:
        json_file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        terminal.say(f"Figures are in {json_file}.")
    if svg is not None:
        svg.write_text(chart.svg(document))
        terminal.say(f"The chart is in {svg}.")
