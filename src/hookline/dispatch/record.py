"""Batches outcomes, and writes each batch with one settle statement."""

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec
from msgspec.structs import replace

from hookline.db.errors import once_back
from hookline.dispatch.batching import Batcher
from hookline.domain.deliveries import Delivered, Failed, Outcome, RetryAt, Skipped
from hookline.errors import Unavailable
from hookline.logs import get_logger
from hookline.queue.port import Claimed, Queue, Settlement

_LINGER = 0.05  # seconds; nobody waits for an outcome to be written, only leases do
_LOG = get_logger(__name__)

Written = Callable[[Claimed, Settlement, bool], None]
"""Is told of a delivery, the outcome as it was offered, and whether the lease was still ours."""


class Recorder:
    """Writes settlements in batches, and keeps trying while the database is away.

    What an attempt achieved is worth more than a lease: the outcome is offered until the database
    takes it, or says that the lease was lost meanwhile and somebody else holds the delivery.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._batcher = Batcher[Settlement, bool](
            self._flush, name="record", largest=500, linger=_LINGER
        )
        self.stuck = False  # the database was away at the last try, and outcomes wait

    def offer(
        self, job: Claimed, settlement: Settlement, written: Written, *, urgent: bool = False
    ) -> None:
        """Have one outcome written; `written` is told then whether the lease was still ours.

        `urgent`: another delivery waits for it.
        """
        self._batcher.offer([settlement], _Offer(job, settlement, written), urgent=urgent)

    async def idle(self) -> None:
        """Return when every outcome that was offered is written."""
        await self._batcher.idle()

    async def _flush(self, batch: Sequence[Settlement]) -> list[bool]:
        try:
            ours = await once_back(lambda: self._settle(batch))
        except Exception:
            if len(batch) > 1:
                raise  # each is then tried alone
            # What cannot be stored of an attempt must not cost its outcome.
            _LOG.exception("delivery.attempt_unrecorded", delivery=str(batch[0].id))
            plain = [replace(batch[0], sent=None)]
            ours = await once_back(lambda: self._settle(plain))
        return [settlement.id in ours for settlement in batch]

    async def _settle(self, batch: Sequence[Settlement]) -> set[UUID]:
        try:
            ours = await self._queue.settle(batch)
        except Unavailable:
            self.stuck = True
            raise
        self.stuck = False
        return ours


class _Offer(msgspec.Struct, frozen=True, gc=False):
    """One outcome on its way to the database, and whom to tell."""

    job: Claimed
    settlement: Settlement
    written: Written

    def answer(self, results: Sequence[bool]) -> None:
        """Tell whether it was ours to write."""
        [ours] = results
        _tell(self.settlement, self.job.integration_id, ours=ours)
        self.written(self.job, self.settlement, ours)

    def refuse(self, error: Exception) -> None:
        """Tell that it could not be written: its lease is lost to us."""
        _LOG.error("delivery.unrecorded", delivery=str(self.job.id), exc_info=error)
        self.written(self.job, self.settlement, False)  # noqa: FBT003 - the answer to "ours?"


def _tell(settlement: Settlement, integration_id: str, *, ours: bool) -> None:
    """Log one line; what went well only where somebody debugs, for it is most of the work."""
    sent = settlement.sent
    quiet = ours and isinstance(settlement.outcome, Delivered)
    if quiet and not _LOG.is_enabled_for(logging.DEBUG):
        return
    log = _LOG.debug if quiet else _LOG.info
    log(
        "delivery.settled" if ours else "delivery.fenced",
        delivery=str(settlement.id),
        integration=integration_id,
        attempt=settlement.number,
        took_ms=sent.duration_ms if sent else None,
        error=sent.error if sent else None,
        tls_reason=sent.tls_reason if sent else None,
        status_code=sent.status_code if sent else None,
        response_defect=sent.response_defect if sent else None,
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
