"""What the benchmark's processes report, and the figures of a scenario, made up for tests."""

from typing import Any

from bench.results import Receipts, Sent, Spent, costs, of_flow

MILLISECOND = 1_000_000  # in nanoseconds


def sent(*times: tuple[int, int], began: int = 0, first: int = 0) -> Sent:
    """Make what the generator reports of events: (sent, accepted) in milliseconds."""
    report_ = {
        "began": began * MILLISECOND,
        "accepted": sum(bool(accepted) for _, accepted in times),
        "refused": 0,
        "refusal": "",
    }
    return Sent(
        first,
        [at * MILLISECOND for at, _ in times],
        [at * MILLISECOND for _, at in times],
        report_,
    )


def received(*arrivals: tuple[int, int]) -> Receipts:
    """Make what the receiver reports: (event number, milliseconds)."""
    report_ = {
        "duplicates": 0,
        "checked": 1,
        "wrong": 0,
        "connections": 1,
        "resumed": 0,
        "at_once": [],
    }
    times = [at * MILLISECOND for _, at in arrivals]
    return Receipts([number for number, _ in arrivals], times, report_)


def figures(**changes: object) -> dict[str, Any]:
    spent = Spent(
        {"service": 1.0, "postgres": 0.5, "receiver": 0.1, "generator": 0.1}, 0.0, 10, 1_000, 1.0
    )
    whole = of_flow(sent((0, 1)), received((0, 2)), 1) | costs(spent, 100)
    return whole | {"rss_mb": 100.0, "settled": True, "errors": []} | changes
