"""Many outcomes in, one statement out."""

import asyncio
from collections.abc import Callable, Sequence

from hookline.db.reconnect import once_back
from hookline.dispatch.batching import Batcher
from hookline.domain.deliveries import Delivered, Failed, Outcome, RetryAt, Skipped
from hookline.logs import get_logger
from hookline.queue.port import Queue, Settlement

_LOG = get_logger(__name__)


class Recorder:
    """Writes settlements in batches, and keeps trying while the database is away.

    What an attempt achieved is worth more than a lease: the outcome is offered until the database
    takes it, or says that the lease was lost meanwhile and somebody else holds the delivery.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._batcher = Batcher[Settlement, bool](self._flush, name="record", largest=500)

    def offer(
        self, settlement: Settlement, integration_id: str, written: Callable[[], None]
    ) -> None:
        """Have one outcome written; `written` is called once it is, or once the lease was lost."""

        def done(future: asyncio.Future[list[bool]]) -> None:
            if future.cancelled():
                return
            if error := future.exception():
                _LOG.error("delivery.unrecorded", delivery=str(settlement.id), exc_info=error)
            else:
                [ours] = future.result()
                _tell(settlement, integration_id, ours=ours)
            written()

        self._batcher.offer([settlement]).add_done_callback(done)

    async def idle(self) -> None:
        """Return when every outcome that was offered is written."""
        await self._batcher.idle()

    async def _flush(self, batch: Sequence[Settlement]) -> list[bool]:
        ours = await once_back(lambda: self._queue.settle(batch))
        return [settlement.id in ours for settlement in batch]


def _tell(settlement: Settlement, integration_id: str, *, ours: bool) -> None:
    """Log one line; what went well only where somebody debugs, for it is most of the work."""
    sent = settlement.sent
    quiet = ours and isinstance(settlement.outcome, Delivered)
    log = _LOG.debug if quiet else _LOG.info
    log(
        "delivery.settled" if ours else "delivery.fenced",
        delivery=str(settlement.id),
        integration=integration_id,
        attempt=settlement.number,
        took_ms=sent.duration_ms if sent else None,
        error=sent.error if sent else None,
        status_code=sent.status_code if sent else None,
        **_described(settlement.outcome),
    )


def _described(outcome: Outcome) -> dict[str, object]:
    match outcome:
        case Delivered():
            return {"outcome": "delivered"}
        case RetryAt(delay=delay):
            return {"outcome": "retry", "retry_in": round(delay, 3)}
        case Failed(reason=reason):
            return {"outcome": "failed", "reason": reason}
        case Skipped(reason=skipped):
            return {"outcome": "skipped", "reason": skipped}
