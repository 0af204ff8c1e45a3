"""What one scenario came to: rates, lag, latencies, and what each delivery cost."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from bench.measure import Reading

ROLES: Final = ("service", "postgres", "receiver", "generator")
_SECOND, _MILLISECOND = 1_000_000_000, 1_000_000  # in nanoseconds
_SHARE = 0.2  # of all processor time: above it, the load's own cost is what is measured


@dataclass(frozen=True, slots=True)
class Sent:
    """What the generator did in one phase: when each event was sent and accepted, by index."""

    first: int  # the number of the first event
    sent: Sequence[int]  # nanoseconds of CLOCK_MONOTONIC
    accepted: Sequence[int]  # 0: not accepted
    report: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path, first: int, report: Mapping[str, Any]) -> "Sent":
        """Read what the generator wrote."""
        sent, accepted = _two_columns(path)
        return cls(first, sent, accepted, report)


@dataclass(frozen=True, slots=True)
class Receipts:
    """What the receiver got since its start: event numbers, and when."""

    numbers: Sequence[int]
    times: Sequence[int]
    report: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path, report: Mapping[str, Any]) -> "Receipts":
        """Read what the receiver wrote."""
        numbers, times = _two_columns(path)
        return cls(numbers, times, report)


@dataclass(frozen=True, slots=True)
class Spent:
    """Counters over a phase."""

    cpu: Mapping[str, float]  # seconds by role
    waited: float  # seconds that the service waited for a processor
    transactions: int
    wal_bytes: int
    seconds: float

    @classmethod
    def between(cls, before: Reading, after: Reading) -> "Spent":
        """Subtract."""
        return cls(
            {role: after.cpu[role] - before.cpu[role] for role in after.cpu},
            after.waited - before.waited,
            after.transactions - before.transactions,
            after.wal_bytes - before.wal_bytes,
            (after.at - before.at) / _SECOND,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a phase's events, and when they were accepted and received; all in nanoseconds."""

    began: int
    accepted: Sequence[int]  # when each was
    received: Sequence[int]
    latencies: Sequence[int]  # from acceptance to receipt
    whole: Sequence[int]  # from sending to receipt

    @classmethod
    def of(cls, sent: Sent, receipts: Receipts, among: range | None = None) -> Self:
        """Look at the events whose index is in `among`; at all, without it."""
        chosen = range(len(sent.sent)) if among is None else among
        arrived = [
            (number - sent.first, at)
            for number, at in zip(receipts.numbers, receipts.times, strict=True)
            if number - sent.first in chosen
        ]
        return cls(
            sent.sent[chosen.start] if chosen else sent.report["began"],
            [at for at in map(sent.accepted.__getitem__, chosen) if at],
            [at for _, at in arrived],
            [max(0, at - sent.accepted[i]) for i, at in arrived if sent.accepted[i]],
            [at - sent.sent[i] for i, at in arrived],
        )

    def beside(self, other: "Part") -> "Part":
        """Add what was sent at the same time."""
        return Part(
            min(self.began, other.began),
            [*self.accepted, *other.accepted],
            [*self.received, *other.received],
            [*self.latencies, *other.latencies],
            [*self.whole, *other.whole],
        )

    def figures(self) -> dict[str, Any]:
        """Return rates, lag and latencies.

        Rates are over the whole phase, the last delivery included. `latency_ms` is from the 202's
        arrival at the sender to the delivery's at the receiver; `end_to_end_ms` from the sending.
        """
        last_accepted = max(self.accepted, default=self.began)
        last_received = max(self.received, default=self.began)
        return {
            "accepted_per_s": _rate(len(self.accepted), self.began, last_accepted),
            "delivered_per_s": _rate(len(self.received), self.began, last_received),
            "lag_s": round(max(0, last_received - last_accepted) / _SECOND, 3),
            "latency_ms": _percentiles(sorted(self.latencies)),
            "end_to_end_ms": _percentiles(sorted(self.whole)),
            "accepted": len(self.accepted),
            "delivered": len(self.received),
        }


def of_flow(sent: Sent, receipts: Receipts, fanout: int) -> dict[str, Any]:
    """Return the figures of events that were sent and delivered at the same time."""
    found = Part.of(sent, receipts).figures()
    accepted = sent.report["accepted"]
    missing = accepted * fanout - found["delivered"]
    return found | {"accepted": accepted, "missing": missing} | checks(receipts, sent)


def of_drain(sent: Sent, receipts: Receipts, began: int) -> dict[str, Any]:
    """Return the rate of deliveries from the moment that the engine was at work."""
    last = max(receipts.times, default=began)
    delivered = sum(at > began for at in receipts.times)
    accepted = sent.report["accepted"]
    took = max(sent.accepted, default=0)
    return {
        "accepted_per_s": _rate(accepted, sent.report["began"], took),
        "delivered_per_s": _rate(delivered, began, last),
        "lag_s": round((last - began) / _SECOND, 3),
        "latency_ms": None,
        "end_to_end_ms": None,
        "accepted": accepted,
        "delivered": delivered,
        "missing": accepted - len(receipts.times),
    } | checks(receipts, sent)


def costs(spent: Spent, delivered: int) -> dict[str, Any]:
    """Return what one delivery cost, and whether the figure measures the load instead."""
    each = max(1, delivered)
    total = sum(spent.cpu.values())
    load = spent.cpu["receiver"] + spent.cpu["generator"]
    return {
        "cpu_us_per_delivery": {
            **{role: round(spent.cpu[role] / each * 1e6, 1) for role in ROLES},
            "total": round(total / each * 1e6, 1),
        },
        "cpu_cores": {role: round(spent.cpu[role] / spent.seconds, 2) for role in ROLES},
        "waited_for_processor": round(spent.waited / spent.seconds, 3),
        "round_trips_per_delivery": round(spent.transactions / each, 4),
        "wal_bytes_per_delivery": round(spent.wal_bytes / each),
        "load_share": round(load / total, 3) if total else 0.0,
        "measures_the_load": load > total * _SHARE,
    }


def checks(receipts: Receipts, *sent: Sent) -> dict[str, Any]:
    """Return what would spoil the figures: refusals, duplicates, wrong signatures, connections.

    The last are those that webhooks came over since the receiver's start, the warm-up's too.
    """
    return {
        "refused": sum(each.report["refused"] for each in sent),
        "refusal": next((why for each in sent if (why := each.report["refusal"])), ""),
        "duplicate_deliveries": receipts.report["duplicates"],
        "signatures_checked": receipts.report["checked"],
        "signatures_wrong": receipts.report["wrong"],
        "connections": receipts.report["connections"],
        "connections_resumed": receipts.report["resumed"],
        "at_once": _weighted(receipts.report["at_once"]),
    }


def _rate(count: int, began: int, ended: int) -> float:
    return round(count * _SECOND / (ended - began), 1) if ended > began else 0.0


def _percentiles(ascending: Sequence[int]) -> dict[str, float] | None:
    if not ascending:
        return None
    return {
        name: round(ascending[min(len(ascending) - 1, int(len(ascending) * q))] / _MILLISECOND, 2)
        for name, q in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    }


def _weighted(counts: Sequence[tuple[int, int]]) -> dict[str, int] | None:
    """Return the median and the most of values that each come with how often they were seen."""
    if not counts:
        return None
    middle, seen = sum(count for _, count in counts) / 2, 0
    for value, count in counts:
        seen += count
        if seen >= middle:
            return {"p50": value, "most": counts[-1][0]}
    raise AssertionError


def _two_columns(path: Path) -> tuple[Sequence[int], Sequence[int]]:
    data = array("q")
    raw = path.read_bytes()
    data.frombytes(raw)
    half = len(data) // 2
    return data[:half], data[half:]
