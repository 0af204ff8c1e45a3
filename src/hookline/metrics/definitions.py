"""Every metric of Hookline's own: its name, what it tells, and the closed lists of its labels.

No label says whose a number is: no integration, PBX, company, key, host or event type. So the
number of series is fixed, and whoever reads them learns nothing of any customer. Names follow
Prometheus: base units, and `_total` for what only grows. A test holds docs/operations.md to this.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Final

from hookline.domain.deliveries import DeliveryStatus, ErrorKind, FailReason, SkipReason
from hookline.domain.health import HealthState
from hookline.domain.targets import TransmissionType
from hookline.history.stream_readers import StreamEnd

Numbers = dict[str, dict[tuple[str, ...], list[float]]]
"""By metric and by its labels' values: one number, or a histogram's buckets and, last, its sum.

A bucket holds what is in no lower one, so adding two of anything is adding number by number.
"""


class Kind(StrEnum):
    """What Prometheus may do with a metric, in Prometheus' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Result(StrEnum):
    """What an accepted event is."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"


class Refusal(StrEnum):
    """Why an event that was right was not taken; its sender is to send it again."""

    BACKLOG = "backlog"  # 429: a bound on what waits, or on what is in hand, is reached
    RATE = "rate"  # 429: its key's share of this process
    DATABASE = "database"  # 503


NO_REASON: Final = "none"  # of a status that needs none: `delivered`
UNKNOWN: Final = "unknown"  # the transmission of an integration that was deleted meanwhile
ATTEMPT_OUTCOMES: Final = ("delivered", "retry", "failed")  # as the API calls them
TRANSMISSIONS: Final = (*TransmissionType, UNKNOWN)
CHANGED_TO: Final = tuple(HealthState)
ENDS_A_DELIVERY: Final = (  # the other reasons keep one from being made
    SkipReason.DELETED,
    SkipReason.DISABLED,
    SkipReason.STALE,
    SkipReason.SUPERSEDED,
)
_ENDINGS: Final = (
    (DeliveryStatus.DELIVERED, NO_REASON),
    *((DeliveryStatus.FAILED, reason) for reason in FailReason),
    *((DeliveryStatus.SKIPPED, reason) for reason in ENDS_A_DELIVERY),
)

DURATION_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DELAY_BOUNDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    *(15.0, 60.0, 300.0, 900.0, 3600.0),
)
"""Upper bounds in seconds: milliseconds for a target that is well, hours behind one that is not."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric; `series` are the values of its labels that are there from the start, at zero."""

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    series: tuple[tuple[str, ...], ...] = ((),)
    bounds: tuple[float, ...] = ()

    def zeros(self) -> dict[tuple[str, ...], list[float]]:
        """Return every series at zero."""
        numbers = len(self.bounds) + 2 if self.kind is Kind.HISTOGRAM else 1
        return {values: [0.0] * numbers for values in self.series}


def _each(*values: str) -> tuple[tuple[str, ...], ...]:
    return tuple((value,) for value in values)


FAMILIES: Final = {
    "hookline_events_total": Family(
        Kind.COUNTER,
        "Events that were answered 202, by whether they were new.",
        ("result",),
        _each(*Result),
    ),
    "hookline_events_refused_total": Family(
        Kind.COUNTER,
        "Events that were not taken and are to be sent again, by reason.",
        ("reason",),
        _each(*Refusal),
    ),
    "hookline_keys_refused_total": Family(
        Kind.COUNTER, "Requests with a key that is unknown, expired or revoked."
    ),
    "hookline_deliveries_created_total": Family(
        Kind.COUNTER, "Deliveries that accepted events made."
    ),
    "hookline_deliveries_settled_total": Family(
        Kind.COUNTER,
        "Deliveries that ended, by status and reason.",
        ("status", "reason"),
        _ENDINGS,
    ),
    "hookline_deliveries_pending": Family(
        Kind.GAUGE, "Deliveries that are not finished, in all processes; of very many an estimate."
    ),
    "hookline_deliveries_pending_limit": Family(
        Kind.GAUGE, "Pending deliveries at which events are refused: MAX_PENDING."
    ),
    "hookline_deliveries_leased": Family(
        Kind.GAUGE, "Deliveries in the hands of engines: at hand, attempted or being recorded."
    ),
    "hookline_deliveries_leased_limit": Family(
        Kind.GAUGE, "Deliveries that engines may have in their hands: MAX_IN_FLIGHT for each."
    ),
    "hookline_attempts_in_flight": Family(Kind.GAUGE, "Attempts that run now."),
    "hookline_attempts_held_back_total": Family(
        Kind.COUNTER, "Attempts that waited for their tenant's share of the processor."
    ),
    "hookline_attempts_total": Family(
        Kind.COUNTER,
        "Attempts that ended, by transmission and outcome.",
        ("transmission", "outcome"),
        tuple(product(TRANSMISSIONS, ATTEMPT_OUTCOMES)),
    ),
    "hookline_attempt_errors_total": Family(
        Kind.COUNTER,
        "Attempts that did not deliver, by transmission and kind of error.",
        ("transmission", "error"),
        tuple(product(TRANSMISSIONS, ErrorKind)),
    ),
    "hookline_attempt_duration_seconds": Family(
        Kind.HISTOGRAM,
        "How long attempts took, from connecting to the answer.",
        ("transmission",),
        _each(*TRANSMISSIONS),
        DURATION_BOUNDS,
    ),
    "hookline_first_attempt_delay_seconds": Family(
        Kind.HISTOGRAM,
        "From an event's acceptance to the start of a delivery's first attempt.",
        bounds=DELAY_BOUNDS,
    ),
    "hookline_delivery_latency_seconds": Family(
        Kind.HISTOGRAM,
        "From when a delivery was queued to the end of the attempt that delivered it.",
        bounds=DELAY_BOUNDS,
    ),
    "hookline_streams": Family(Kind.GAUGE, "Streams of deliveries that are open."),
    "hookline_streams_limit": Family(
        Kind.GAUGE, "Streams that may be open: MAX_STREAMS for each process."
    ),
    "hookline_streams_ended_total": Family(
        Kind.COUNTER, "Streams that ended, by reason.", ("reason",), _each(*StreamEnd)
    ),
    "hookline_stream_deliveries_total": Family(
        Kind.COUNTER, "Deliveries that were sent to streams, once for each of them."
    ),
    "hookline_settlements_fenced_total": Family(
        Kind.COUNTER, "Outcomes that came too late: another process had taken the delivery over."
    ),
    "hookline_integrations": Family(
        Kind.GAUGE, "Integrations by the state of their health.", ("state",), _each(*HealthState)
    ),
    "hookline_health_changes_total": Family(
        Kind.COUNTER,
        "Changes of integrations' health that Hookline made, by the state that they led to.",
        ("state",),
        _each(*CHANGED_TO),
    ),
    "hookline_lanes_paused": Family(
        Kind.GAUGE, "Paused integrations that the engine which answers knows of."
    ),
    "hookline_engines_running": Family(Kind.GAUGE, "Delivery engines that run."),
    "hookline_processes": Family(Kind.GAUGE, "Processes behind this address that count."),
    "hookline_database_up": Family(Kind.GAUGE, "Whether PostgreSQL answered within two seconds."),
    "hookline_build_info": Family(Kind.GAUGE, "Which Hookline answers; always 1.", ("version",)),
}


def zeros(kinds: frozenset[Kind] = frozenset({Kind.COUNTER, Kind.HISTOGRAM})) -> Numbers:
    """Return every series that only grows, at zero."""
    return {name: each.zeros() for name, each in FAMILIES.items() if each.kind in kinds}
