"""What parsing and printing one envelope costs, beside the ways that were not taken.

Run it with `.venv/bin/python benchmarks/canonical.py`: microseconds for each event of
tests/events, the best of several rounds, and one line for all of them.
"""

import json
import statistics
import timeit
from collections.abc import Callable
from pathlib import Path

import orjson

from hookline.domain.canonical import _printed, _settled, canonical
from hookline.domain.documents import deepest, parse_document
from hookline.domain.events import Limits, parse_batch, parse_event

SAMPLES = Path(__file__).parent.parent / "tests" / "events"
LIMITS = Limits()
ROUNDS, REPEATS = 7, 100


def microseconds(work: Callable[[bytes], object], raw: bytes) -> float:
    rounds = timeit.repeat(lambda: work(raw), repeat=ROUNDS, number=REPEATS)
    return min(rounds) / REPEATS * 1e6


def standard_library(raw: bytes) -> bytes:
    """Right for strings, wrong for numbers and key order: what most services would sign."""
    return json.dumps(json.loads(raw), ensure_ascii=False, separators=(",", ":")).encode()


def orjson_alone(raw: bytes) -> bytes:
    """The floor: parse and print with nothing put into JavaScript's form."""
    return orjson.dumps(orjson.loads(raw))


def printed_in_python(raw: bytes) -> bytes:
    """The printer that is kept for lone surrogates, used for everything."""
    return _printed(_settled(orjson.loads(raw))).encode()


def parsed_and_canonical(raw: bytes) -> bytes:
    return canonical(parse_document(raw, depth=LIMITS.depth))


WAYS: dict[str, Callable[[bytes], object]] = {
    "parse_event": lambda raw: parse_event(raw, LIMITS),
    "parse + canonical": parsed_and_canonical,
    "orjson alone": orjson_alone,
    "standard library": standard_library,
    "printed in Python": printed_in_python,
    "depth scan, whole": deepest,
}


def main() -> None:
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


def without_integration(path: Path) -> bytes:
    envelope = json.loads(path.read_bytes())
    envelope.pop("integrationId", None)
    return json.dumps(envelope, ensure_ascii=False).encode()


if __name__ == "__main__":
    main()
