"""Rows of the queue's statements as the port's values, and those values as columns.

A column goes into a statement as the text form of Postgres' arrays. asyncpg asks of each element of
an array whether it is itself one, which costs more than all else that it does with it. Text goes
through as it is; the statement casts it: `$1::text::uuid[]`.
(https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO)
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from uuid import UUID

import asyncpg

from hookline.domain.deliveries import (
    Delivered,
    DeliveryStatus,
    Failed,
    FailReason,
    Outcome,
    RetryAt,
    Skipped,
)
from hookline.domain.events import Event
from hookline.domain.statistics import Ending, code_of
from hookline.domain.stored import error_of
from hookline.queue.port import Claimed, Lane, NewDelivery, NewEvent, Settlement

_PRINTED_AT_ONCE = 250  # deliveries, in half a millisecond
_ENDINGS: dict[type[Outcome], Ending] = {
    Delivered: Ending.DELIVERED,
    RetryAt: Ending.PENDING,
    Failed: Ending.FAILED,
    Skipped: Ending.SKIPPED,
}


def rate_columns(lanes: Sequence[Lane]) -> tuple[list[str], list[int], list[float | None]]:
    """Return lanes as columns."""
    return (
        [lane.integration_id for lane in lanes],
        [lane.room for lane in lanes],
        [lane.rate_limit for lane in lanes],
    )


def event_columns(events: Sequence[NewEvent]) -> list[str | list[bytes]]:
    """Return new events as columns."""
    return [
        plain(e.id for e in events),
        plain(e.digest for e in events),
        texts([e.event.pbx for e in events]),
        texts([e.event.company for e in events]),
        texts([e.event.type for e in events]),
        texts([e.event.subject for e in events]),
        plain(e.event.time for e in events),
        [e.event.payload for e in events],
        plain(e.event.splice for e in events),
        texts([e.skipped for e in events]),
    ]


def delivery_columns(
    deliveries: Sequence[NewDelivery], sizes: Mapping[UUID, int], born_lease: int
) -> Generator[None, None, list[str]]:
    """Return new deliveries as columns, in steps; `sizes` has the bytes of each event."""
    printed: list[tuple[int, list[str]]] = []
    for start in range(0, max(1, len(deliveries)), _PRINTED_AT_ONCE):
        some = deliveries[start : start + _PRINTED_AT_ONCE]
        columns = [
            plain(d.id for d in some),
            plain(d.event_id for d in some),
            texts([d.integration_id for d in some]),
            texts([d.event_type for d in some]),
            texts([d.ordering for d in some]),
            optional([(d.holder or born_lease) if d.leased else None for d in some]),
            plain(sizes[d.event_id] for d in some),
            optional([d.max_age for d in some]),
            optional([d.replacement_key for d in some]),
            lists([d.omit for d in some]),
        ]
        printed.append((len(some), columns))
        yield
    if len(printed) == 1:
        return printed[0][1]
    counts = [count for count, _ in printed]
    return [_joined(parts, counts) for parts in zip(*(each for _, each in printed), strict=True)]


def _joined(parts: Sequence[str], counts: Sequence[int]) -> str:
    """Return one array of several with so many elements; where it is empty, each is NULL."""
    if all(part == "{}" for part in parts):
        return "{}"
    inside = [
        ",".join(["NULL"] * count) if part == "{}" else part[1:-1]
        for part, count in zip(parts, counts, strict=True)
    ]
    return f"{{{','.join(inside)}}}"


def ending_of_lost(row: asyncpg.Record, lease: int) -> Settlement:
    """Return how a delivery ends whose event was deleted behind the service's back."""
    return Settlement(row["id"], lease, Failed(FailReason.INTERNAL), row["attempts"], None)


def claimed_row(row: asyncpg.Record, stored: asyncpg.Record, lease: int) -> Claimed:
    """Return a claimed delivery of its row and its event's."""
    event = Event(
        subject=stored["subject"],
        pbx=stored["pbx"],
        company=stored["company"],
        time=stored["time"],
        type=row["type"],
        payload=stored["payload"],
        splice=stored["splice"],
        trace_context=stored["traceparent"],
    )
    return Claimed(
        id=row["id"],
        lease=lease,
        event_id=row["event_id"],
        integration_id=row["integration_id"],
        attempts=row["attempts"],
        claims=row["claims"],
        once=row["once"],
        manual=row["manual"],
        revision=row["revision"],
        event=event,
        fresh_for=row["fresh_for"],
        replacement_key=row["replacement_key"],
        last_error=error_of(row["last_error"]),
        omit=None if row["omit"] is None else tuple(row["omit"]),
        replay=row["replay"],
        erased=stored["erased"],
    )


def written(outcome: Outcome) -> tuple[DeliveryStatus, str | None, float]:
    """Return an outcome's status, its reason, and the seconds until its retry."""
    match outcome:
        case Delivered():
            return DeliveryStatus.DELIVERED, None, 0.0
        case RetryAt(delay=delay):
            return DeliveryStatus.PENDING, None, delay
        case Failed(reason=reason):
            return DeliveryStatus.FAILED, reason, 0.0
        case Skipped(reason=skipped):
            return DeliveryStatus.SKIPPED, skipped, 0.0


def counted(settlement: Settlement) -> int:
    """Return what is counted of a settlement; latency ends as its attempt does."""
    sent, ending = settlement.sent, _ENDINGS[type(settlement.outcome)]
    if sent is None:
        return code_of(ending, retried=False)
    latency = None
    if ending is Ending.DELIVERED:
        waited_ms = sent.started_at.timestamp() * 1000 - (settlement.id.int >> 80)
        latency = max(0, round(waited_ms)) + sent.duration_ms
    return code_of(
        ending,
        attempt_ms=sent.duration_ms,
        latency_ms=latency,
        retried=settlement.number > 1,
    )


def attempt_outcome(outcome: Outcome) -> str:
    """Return how an attempt ended."""
    match outcome:
        case Delivered():
            return "delivered"
        case RetryAt():
            return "retry"
        case Failed() | Skipped():
            return "failed"


def plain(values: Iterable[UUID | int | float]) -> str:
    """Return the array of values whose text holds no quote, comma, brace or space."""
    return f"{{{','.join(map(str, values))}}}"


def texts(values: Sequence[str | None]) -> str:
    """Return the array of texts, each quoted; None is NULL."""
    if None in values:
        return f"{{{','.join(map(_element, values))}}}"
    joined = '","'.join(values)  # type: ignore[arg-type]  # no None is left
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1) * bool(values):
        return f"{{{','.join(map(_element, values))}}}"
    return f'{{"{joined}"}}' if values else "{}"


def optional(values: Sequence[UUID | float | None]) -> str:
    """Return the array of values that `plain` takes, None being NULL; empty where all are."""
    if all(value is None for value in values):
        return "{}"
    return f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}"


def optional_texts(values: Sequence[str | None]) -> str:
    """Return the array of texts; empty where all are None."""
    return "{}" if all(value is None for value in values) else texts(values)


def lists(values: Sequence[Sequence[str] | None]) -> str:
    """Return the array of arrays of text, each as text; empty where all are None."""
    if all(value is None for value in values):
        return "{}"
    return texts([None if value is None else texts(value) for value in values])


def _element(value: str | None) -> str:
    if value is None:
        return "NULL"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
