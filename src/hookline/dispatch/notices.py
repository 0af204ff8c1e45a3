"""Tells integrations what became of others: the events of the group `service`.

Notices wait in the database, in every process's reach. Any process takes one and has it accepted as
an ordinary event; it is gone from there only once it is accepted. One that was accepted by a
process that died before it could say so is accepted again, and ingest knows it for a duplicate, as
its bytes come from its row alone.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

from hookline.dispatch.observer import Receipt
from hookline.domain.deliveries import ErrorKind
from hookline.domain.events import Event
from hookline.errors import InvalidInput, QuotaExceeded, Unavailable
from hookline.integrations.notices import Exhausted, Outbox, WrittenNotice
from hookline.logs import get_logger

_NONE = Exhausted()
_LOG = get_logger(__name__)
_AT_ONCE = 100  # notices in one transaction and one batch of events


Accept = Callable[[Sequence[Event]], Awaitable[Sequence[Receipt]]]
_Readable = tuple[WrittenNotice, Event]
_Told = tuple[_Readable, Receipt]


class ExhaustedCounter:
    """Counts the deliveries that failed for good; `add` adds them to what all processes counted.

    They are counted in memory as they end, and not by a query on `deliveries` when a notice is due:
    a delivery's id is as old as its event, so what ended in the last minute may lie anywhere in the
    days kept, a pause away, and all rows of a busy integration would be read to find a few. What
    this costs is bounded: a process that dies takes one round's count with it, and one that dies
    before an outcome is recorded has counted a delivery that is attempted again. The deliveries
    themselves lose nothing, and are listed by their status.
    """

    def __init__(self, add: Callable[[Mapping[str, Exhausted]], Awaitable[None]]) -> None:
        self._add = add
        self._counted: dict[str, Exhausted] = {}

    def count(self, integration_id: str, delivery_id: UUID, error: ErrorKind | None) -> None:
        """Count one delivery; returns at once."""
        one = Exhausted(1, (str(delivery_id),), error)
        self._counted[integration_id] = self._counted.get(integration_id, _NONE).followed_by(one)

    async def flush(self) -> None:
        """Hand over what was counted. Raises Unavailable, and then it is kept."""
        if not self._counted:
            return
        taken, self._counted = self._counted, {}
        try:
            await self._add(taken)
        except BaseException:  # a cancelled round's as well: the end hands it over
            for integration_id, later in self._counted.items():
                taken[integration_id] = taken.get(integration_id, _NONE).followed_by(later)
            self._counted = taken
            raise

    async def aclose(self) -> None:
        """Hand over what the last attempts added."""
        try:
            await self.flush()
        except Unavailable:
            counted = sum(each.count for each in self._counted.values())
            _LOG.warning("exhausted.uncounted", deliveries=counted)


class Notices:
    """Has notices accepted, in order."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def run_once(self, accept: Accept) -> None:
        """Have everything accepted that is to be told now.

        Raises Overloaded or Unavailable; what is not accepted waits for the next round.
        """
        if not await self._outbox.has_work():
            return
        await self._outbox.gather()
        while await self._send(accept) == _AT_ONCE:
            continue

    async def _send(self, accept: Accept) -> int:
        async with self._outbox.taking(_AT_ONCE) as written:
            readable = [(each, event) for each in written if (event := _event(each)) is not None]
            for (each, _), receipt in await _accepted(readable, accept):
                _tell(each, receipt)
        return len(written)


async def _accepted(readable: Sequence[_Readable], accept: Accept) -> list[_Told]:
    """Have notices accepted, without those of tenants that have as much waiting as they may.

    Those are dropped: a tenant that floods its own backlog keeps nobody else's notices waiting.
    """
    while readable:
        try:
            receipts = await accept([event for _, event in readable])
        except QuotaExceeded as error:
            for at in error.refused:
                _LOG.warning("notice.dropped", integration=readable[at][0].notice.integration_id)
            readable = [each for at, each in enumerate(readable) if at not in error.refused]
        else:
            return list(zip(readable, receipts, strict=True))
    return []


def _event(written: WrittenNotice) -> Event | None:
    """Make the event; what cannot be one must not keep the others waiting."""
    try:
        return written.event()
    except InvalidInput:
        _LOG.exception("notice.unreadable", integration=written.notice.integration_id)
        return None


def _tell(written: WrittenNotice, receipt: Receipt) -> None:
    notice = written.notice
    _LOG.info(
        notice.type.replace(":", "."),
        integration=notice.integration_id,
        event_id=str(receipt.event_id),
        duplicate=receipt.duplicate,
        **notice.data,
    )
