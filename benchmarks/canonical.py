"""What parsing and printing one envelope costs, beside the ways that were not taken.

Run it with `.venv/bin/python benchmarks/canonical.py`: microseconds for each event of
tests/events, the best of several rounds, and one line for all of them; then, in CPU time, what the
most expensive shapes of 300 kB cost against a plain document of that size, and how long their
longest step keeps others waiting. It fails where a shape costs more than ten times as much as the
plain one.
`--search SECONDS` lets Hypothesis look for shapes that cost more than those.
"""

import argparse
import json
import statistics
import sys
import time
import timeit
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson

from hookline.domain.documents import canonical, deepest, parse_document
from hookline.domain.events import Limits, event_in_steps, parse_batch, parse_event
from hookline.errors import HooklineError
from shapes import repeated, shapes

SAMPLES = Path(__file__).parent.parent / "tests" / "events"
LIMITS = Limits()
ROUNDS, REPEATS = 7, 100
LARGE = 300_000  # bytes
MOST_TIMES_PLAIN = 10
_SHOWN, _WIDEST = 10, 100  # texts that a search prints, and characters of each


def microseconds(work: Callable[[bytes], object], raw: bytes) -> float:
    rounds = timeit.repeat(lambda: work(raw), repeat=ROUNDS, number=REPEATS)
    return min(rounds) / REPEATS * 1e6


def standard_library(raw: bytes) -> bytes:
    """Right for strings, wrong for numbers and key order: what most services would sign."""
    return json.dumps(json.loads(raw), ensure_ascii=False, separators=(",", ":")).encode()


def orjson_alone(raw: bytes) -> bytes:
    """The floor: parse and print with nothing put into JavaScript's form."""
    return orjson.dumps(orjson.loads(raw))


def parsed_and_canonical(raw: bytes) -> bytes:
    return canonical(parse_document(raw, depth=LIMITS.depth))


WAYS: dict[str, Callable[[bytes], object]] = {
    "parse_event": lambda raw: parse_event(raw, LIMITS),
    "parse + canonical": parsed_and_canonical,
    "orjson alone": orjson_alone,
    "standard library": standard_library,
    "depth scan, whole": deepest,
}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--search", type=float, metavar="SECONDS")
    seconds = options.parse_args().search
    if seconds is not None:
        search(seconds)
        return
    usual_events()
    sys.exit(costliest_shapes())


def usual_events() -> None:
    samples = {path.stem: without_integration(path) for path in sorted(SAMPLES.glob("*/*.json"))}
    print(f"{'µs per event':45}{'bytes':>6}" + "".join(f"{way:>19}" for way in WAYS))
    columns: dict[str, list[float]] = {way: [] for way in WAYS}
    for name, raw in samples.items():
        for way, work in WAYS.items():
            columns[way].append(microseconds(work, raw))
        print(f"{name:45}{len(raw):6}" + "".join(f"{columns[w][-1]:19.2f}" for w in WAYS))
    mean_bytes = statistics.mean(map(len, samples.values()))
    means = "".join(f"{statistics.mean(columns[way]):19.2f}" for way in WAYS)
    print(f"{'mean':45}{mean_bytes:6.0f}{means}")

    many = [*samples.values()] * 5
    batch = b'{"events":[' + b",".join(many) + b"]}"
    surrogate = batch.replace(b'"data"', b'"x":"\\ud800","data"', 1)
    for name, body in (("usual", batch), ("with one lone surrogate", surrogate)):
        each = microseconds(lambda raw: parse_batch(raw, LIMITS), body) / len(many)
        print(f"batch of {len(many)}, {name}: {each:.2f} µs per event")


def costliest_shapes() -> str | None:
    """Print what each shape costs; return what is wrong with it."""
    plain = statistics.median(steps_of(shapes(LARGE)["plain"])[0] for _ in range(ROUNDS))
    costs = {name: steps_of(raw) for name, raw in shapes(LARGE).items()}
    print(f"\n{'shape':30}{'ms':>8}{'× plain':>10}{'longest step':>15}")
    for name, (cost, longest) in sorted(costs.items(), key=lambda each: each[1]):
        print(f"{name:30}{cost * 1e3:8.1f}{cost / plain:10.1f}{longest * 1e3:15.1f}")
    most = max(cost for cost, _ in costs.values()) / plain
    return f"The costliest costs {most:.1f} × plain." if most > MOST_TIMES_PLAIN else None


def steps_of(raw: bytes) -> tuple[float, float]:
    """Return the CPU seconds of all steps and of the longest, the least of three rounds each."""
    rounds = [_steps_of(raw) for _ in range(3)]
    return min(total for total, _ in rounds), min(longest for _, longest in rounds)


def _steps_of(raw: bytes) -> tuple[float, float]:
    steps, taken = event_in_steps(raw, LIMITS), []
    ended = False
    while not ended:
        started = time.thread_time()
        try:
            next(steps)
        except (StopIteration, HooklineError):
            ended = True
        taken.append(time.thread_time() - started)
    return sum(taken), max(taken)


class _Over(Exception):
    """The time of a search is over; nothing else ends one."""


def search(seconds: float) -> None:
    """Look for a text whose repetition costs the most, and print what was found."""
    from hypothesis import (  # noqa: PLC0415 - dev tool
        HealthCheck,
        Phase,
        Verbosity,
        given,
        settings,
        target,
    )
    from hypothesis.errors import HypothesisWarning  # noqa: PLC0415 - as above

    sys.path.insert(0, str(SAMPLES.parent))
    from support import json_texts  # noqa: PLC0415 - the tests' own

    plain = statistics.median(steps_of(shapes(LARGE)["plain"])[0] for _ in range(ROUNDS))
    ends, found = time.monotonic() + seconds, [(0.0, "")]

    @settings(
        max_examples=10**6,
        deadline=None,
        verbosity=Verbosity.quiet,
        phases=[Phase.generate, Phase.target],
        suppress_health_check=list(HealthCheck),
    )
    @given(json_texts.documents)
    def costs_little(text: str) -> None:
        if time.monotonic() > ends:
            raise _Over
        times_plain = steps_of(repeated(text, LARGE))[0] / plain
        target(times_plain)
        found.append((times_plain, text))

    warnings.simplefilter("ignore", HypothesisWarning)  # strategies of many characters print long
    with suppress(_Over):
        costs_little()
    costliest: dict[str, float] = {}
    for times_plain, text in found:  # one text may be tried again and again
        costliest[text] = max(times_plain, costliest.get(text, 0.0))
    print(f"{len(costliest):,} texts were tried; these cost the most, repeated to {LARGE:,} bytes.")
    print(f"{'× plain':>8}  {'bytes':>6}  text, escaped where it is not ASCII")
    for text in sorted(costliest, key=lambda each: costliest[each], reverse=True)[:_SHOWN]:
        told = ascii(text)[1:-1]
        shown = told if len(told) <= _WIDEST else f"{told[: _WIDEST - 1]}…"
        print(f"{costliest[text]:8.1f}  {len(text.encode(errors='surrogatepass')):6}  {shown}")


def without_integration(path: Path) -> bytes:
    envelope = json.loads(path.read_bytes())
    envelope.pop("integrationId", None)
    return json.dumps(envelope, ensure_ascii=False).encode()


if __name__ == "__main__":
    main()
