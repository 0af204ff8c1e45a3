"""Batches of new events with a delivery each, and how they are settled, to measure the queue."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from hookline.domain.deliveries import Delivered, Sent, Verdict
from hookline.domain.events import Limits, parse_event
from hookline.domain.ids import new_uuid
from hookline.queue.port import Claimed, NewDelivery, NewEvent, Settlement


def new_batch(
    first: int, count: int, lanes: Sequence[str]
) -> tuple[list[NewEvent], list[NewDelivery]]:
    """Return events numbered from `first`, each with a delivery that waits in one of `lanes`."""
    events, deliveries = [], []
    for number in range(first, first + count):
        raw = (
            f'{{"id":"call-{number}","pbx":"pbx-1","company":"company-1",'
            f'"time":{time.time_ns() // 1000},"type":"call:completed","data":{{}}}}'
        )
        event = parse_event(raw.encode(), Limits())
        events.append(NewEvent(new_uuid(), event, event.digest(event.pbx), skipped=None))
        deliveries.append(
            NewDelivery(
                id=new_uuid(),
                event_id=events[-1].id,
                integration_id=lanes[number % len(lanes)],
                event_type=event.type,
                ordering=None,
                leased=False,
            )
        )
    return events, deliveries


def delivered(claimed: Sequence[Claimed]) -> list[Settlement]:
    """Return how they are settled: each delivered at its first attempt."""
    now = datetime.now(UTC)
    sent = Sent(Verdict.DELIVERED, now, 12, error=None, status_code=200, response=b"")
    return [Settlement(each.id, each.lease, Delivered(), 1, sent) for each in claimed]
