"""Where the service's time goes in a scenario of `hookline bench`: py-spy's samples, summed.

    .venv/bin/python benchmarks/profiling.py single [--seconds 10] [--in-flight N] [--raw FILE]

Attaches to the service while it is measured, and prints the functions with the most time of their
own and with the most in all, as shares of the samples on a processor. `--raw` keeps the stacks in
the form that flame graph tools read. The environment needs the dependency group `bench`.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import psutil

from bench import flows, report
from bench.layout import layout_of_this_machine
from bench.scenarios import SCENARIOS, Options

_PHASES = {"measuring", "draining"}
_IDLE = ("_worker (", "Condition.wait (")  # threads that wait; py-spy takes them for busy
_RATE = 250  # samples a second
_ENTRY = 0.7  # share of the samples above which a frame is only the way in


class Profiler:
    """A progress display that starts py-spy with the phase that is measured."""

    def __init__(self, seconds: float, raw: Path) -> None:
        self._seconds = seconds
        self._raw = raw
        self._waiting = False
        self.recording: subprocess.Popen[bytes] | None = None

    def phase(self, what: str, total: int | None = None) -> None:
        print(f"{what}{'' if total is None else f', {total:,}'} …")
        if what in _PHASES:
            self._waiting = True

    def at(self, count: int) -> None:
        if count and self._waiting:
            self._waiting = False
            self._attach(_service())

    def _attach(self, pid: int) -> None:
        program = Path(sys.executable).parent / "py-spy"
        command = (str(program), "record", "--pid", str(pid), "--rate", str(_RATE), "--function")
        duration = ("--duration", str(max(1, int(self._seconds))))
        out = ("--format", "raw", "--output", str(self._raw))
        self.recording = subprocess.Popen((*command, *duration, *out), stdout=subprocess.DEVNULL)


def _service() -> int:
    for child in psutil.Process().children():
        if "serve" in child.cmdline():
            return int(child.pid)
    raise LookupError("no service runs")


def _sums(raw: Path) -> tuple[Counter[str], Counter[str]]:
    own: Counter[str] = Counter()
    cumulative: Counter[str] = Counter()
    for line in raw.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if frames[-1].startswith(_IDLE):
            continue
        own[frames[-1]] += int(count)
        for frame in set(frames):
            cumulative[frame] += int(count)
    return own, cumulative


def _packages(own: Counter[str]) -> Counter[str]:
    """Sum by library, and Hookline by its rooms; a loop written in C is its caller's."""
    sums: Counter[str] = Counter()
    for frame, count in own.items():
        parts = frame.rpartition("(")[2].rstrip(")").partition(":")[0].split("/")
        sums["/".join(parts[: 2 if parts[0] == "hookline" else 1])] += count
    return sums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--top", type=int, default=30)
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--no-pin", action="store_true")
    parser.add_argument("--in-flight", type=int)
    options = parser.parse_args()
    scenario = next(each for each in SCENARIOS if each.name == options.scenario)
    layout = layout_of_this_machine(pinned=not options.no_pin)
    with tempfile.TemporaryDirectory() as directory:
        raw = options.raw or Path(directory) / "stacks"
        profiler = Profiler(options.seconds, raw)
        document = {"machine": report.machine(layout, Options(options.seconds))}
        figures = asyncio.run(
            flows.run(scenario, layout, profiler, Options(options.seconds, options.in_flight))
        )
        if profiler.recording is not None:
            profiler.recording.wait(timeout=60)
        report.show(document | {"scenarios": {scenario.name: figures}})
        own, cumulative = _sums(raw)
    total = sum(own.values())
    entry = {frame for frame, count in cumulative.items() if count > total * _ENTRY}
    inner = Counter({frame: n for frame, n in cumulative.items() if frame not in entry})
    tables = (("own time by package", _packages(own)), ("own time", own), ("time in all", inner))
    for title, sums in tables:
        print(f"\n{title}, of {total} samples on a processor")
        for frame, count in sums.most_common(options.top):
            print(f"{count / total:7.1%}  {frame}")


if __name__ == "__main__":
    main()
