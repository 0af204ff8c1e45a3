"""A scenario's figures beside another's: as shares of its throughput, and multiples of its p99."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bench.scenarios import SCENARIOS

Figures = Mapping[str, Any]  # of one scenario or of one part of it, as the JSON has them

COLUMNS: Final = (
    "the others in",
    "delivered/s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "sent p99",
    "beside",
    "throughput",
    "p99",
    "sent p99",
)


def ratios(figures: Figures, base: Figures) -> dict[str, float | None]:
    """Divide by those of `base`; None where that is nothing."""
    return {
        "throughput": _ratio(figures["delivered_per_s"], base["delivered_per_s"]),
        "p99": _ratio(_p99(figures, "latency_ms"), _p99(base, "latency_ms")),
        "end_to_end_p99": _ratio(_p99(figures, "end_to_end_ms"), _p99(base, "end_to_end_ms")),
    }


def relate(scenarios: Mapping[str, dict[str, Any]]) -> None:
    """Note with each scenario, and its slices, how it stands beside the one it is measured by."""
    against = {each.name: each.against for each in SCENARIOS if each.against in scenarios}
    for name, figures in scenarios.items():
        if base := against.get(name):
            figures[f"of_{base}"] = ratios(_watched(figures), _watched(scenarios[base]))
            for part in figures.get("slices", {}).values():
                part[f"of_{base}"] = ratios(part, _watched(scenarios[base]))


def rows(scenarios: Mapping[str, Figures]) -> list[tuple[str, ...]]:
    """Return the table's rows: what is compared, and what it is compared with."""
    return [row for name, figures in scenarios.items() for row in _rows(name, figures)]


def _rows(name: str, figures: Figures) -> Iterator[tuple[str, ...]]:
    watched = _watched(figures)
    for baseline in ("alone", "spread"):
        if baseline in figures:
            yield _row(f"{name}, {baseline}", figures[baseline])
    against = [key for key in figures if key.startswith("of_")]
    if "others" in figures and not against:
        yield _row(name, watched)
    for key in against:
        yield _row(name, watched, key.removeprefix("of_"), figures[key])
    for slice_, part in figures.get("slices", {}).items():
        title = f"{name}, {slice_.replace('_', ' ')}"
        related = [key for key in part if key.startswith("of_")]
        if not related:
            yield _row(title, part)
        for key in related:
            yield _row(title, part, key.removeprefix("of_"), part[key])


def _row(
    title: str, figures: Figures, beside: str = "–", ratio: Mapping[str, float | None] | None = None
) -> tuple[str, ...]:
    latency, whole = figures["latency_ms"] or {}, figures["end_to_end_ms"] or {}
    shares = ratio or {}
    times = (shares.get("p99"), shares.get("end_to_end_p99"))
    share = shares.get("throughput")
    return (
        title,
        f"{figures['delivered_per_s']:,.0f}",
        *(f"{latency[q]:,.1f}" if q in latency else "–" for q in ("p50", "p99", "p999")),
        f"{whole['p99']:,.1f}" if "p99" in whole else "–",
        beside,
        "–" if share is None else f"{share:.0%}",
        *("–" if each is None else f"{each:,.2f} ×" for each in times),
    )


def _watched(figures: Figures) -> Figures:
    found: Figures = figures.get("others", figures)
    return found


def _p99(figures: Figures, of: str) -> float:
    return float((figures[of] or {}).get("p99", 0.0))


def _ratio(value: float, base: float) -> float | None:
    return round(value / base, 3) if base else None
