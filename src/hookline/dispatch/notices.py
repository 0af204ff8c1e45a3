"""Tells integrations what became of others: the events of the group `service`.

What is to be told waits in the database, in every process's reach. Any process takes it and has it
accepted as an ordinary event; a notice is gone from there only once it is accepted. One that was
accepted by a process that died before it could say so is accepted again, and ingest knows it for a
duplicate, as its bytes come from its row alone.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from hookline.dispatch.ingest import Receipt
from hookline.dispatch.rounds import Rounds
from hookline.domain.events import Event
from hookline.domain.notices import WrittenNotice
from hookline.errors import InvalidInput, QuotaExceeded
from hookline.integrations.outbox import Outbox
from hookline.logs import get_logger

_AT_ONCE = 100  # notices in one transaction and one batch of events
_LOG = get_logger(__name__)


Accept = Callable[[Sequence[Event]], Awaitable[Sequence[Receipt]]]
_Readable = tuple[WrittenNotice, Event]
_Told = tuple[_Readable, Receipt]


class Notices:
    """Has notices accepted, in order; `run` is a task of its owner's."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._rounds = Rounds("notices")

    def soon(self) -> None:
        """Look soon: somebody has something to tell."""
        self._rounds.soon()

    async def run(self, accept: Accept, interval: float) -> None:
        """Look every `interval` seconds, or when one is hinted at, until cancelled."""
        await self._rounds.run(partial(self.round, accept), interval)

    async def round(self, accept: Accept) -> None:
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
