"""What every sink promises, as checks that each sink's own tests run."""

from datetime import UTC, datetime

from hookline.domain.deliveries import ErrorKind, Sent, Verdict
from hookline.sinks import Shipment, Sink

MOST_KEPT = 4096  # bytes of an answer


async def sends_once(sink: Sink, shipment: Shipment) -> Sent:
    """Send, and hold what came back to the promises that hold whatever the target does."""
    before = datetime.now(UTC)
    sent = await sink.send(shipment)
    assert before <= sent.started_at <= datetime.now(UTC)
    assert sent.started_at.utcoffset() is not None
    assert sent.duration_ms >= 0
    assert len(sent.response) <= MOST_KEPT
    assert sent.retry_after is None or sent.retry_after >= 0
    assert (sent.error is None) == (sent.verdict is Verdict.DELIVERED)
    if sent.error is ErrorKind.STATUS:
        assert sent.status_code is not None
    return sent


async def delivers(sink: Sink, shipment: Shipment) -> Sent:
    """Send to a target that is well: it is delivered, again and again, with the same bytes."""
    first, second = await sends_once(sink, shipment), await sends_once(sink, shipment)
    assert (first.verdict, second.verdict) == (Verdict.DELIVERED, Verdict.DELIVERED)
    return second


async def fails_as(sink: Sink, shipment: Shipment, verdict: Verdict, error: ErrorKind) -> Sent:
    """Send to a target that is not: a value says so, and nothing is raised."""
    sent = await sends_once(sink, shipment)
    assert (sent.verdict, sent.error) == (verdict, error)
    return sent


async def forgets(sink: Sink, shipment: Shipment) -> None:
    """Forget a target twice, used or not; the next shipment to it is delivered all the same."""
    await sink.forget(shipment.target)
    await sink.forget(shipment.target)
    await delivers(sink, shipment)
    await sink.forget(shipment.target)
    await delivers(sink, shipment)
