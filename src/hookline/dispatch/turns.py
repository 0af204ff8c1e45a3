"""Rate limits: a claim asks for no more than each limited lane may send now.

What waits for its turn waits in the database, unleased: that costs no attempt and no place.
"""

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from hookline.dispatch.lanes import Lanes
from hookline.queue.port import Claimed, Lane, Queue


class RateLimits:
    """Keeps claims within the rates, over all processes."""

    def __init__(self, queue: Queue, lanes: Lanes) -> None:
        self._queue = queue
        self._lanes = lanes

    async def within(self, asked: Sequence[Lane]) -> Sequence[Lane]:
        """Return what may be claimed now; lanes that have used up their rate come again later."""
        limited = [lane for lane in asked if lane.rate_limit is not None]
        if not limited:
            return asked
        turns = await self._queue.acquire_tokens(limited)
        allowed: list[Lane] = []
        for lane in asked:
            turn = turns.get(lane.integration_id)
            if turn is None:
                allowed.append(lane)
                continue
            self._lanes.not_before(lane.integration_id, turn.next_in)
            if turn.granted:
                allowed.append(replace(lane, room=turn.granted))
        return allowed

    async def settle(self, asked: Sequence[Lane], jobs: Sequence[Claimed]) -> None:
        """Give back the turns of limited lanes that had less to send."""
        got = Counter(job.integration_id for job in jobs)
        unused = [
            replace(lane, room=lane.room - got[lane.integration_id])
            for lane in asked
            if lane.rate_limit is not None and got[lane.integration_id] < lane.room
        ]
        if unused:
            await self._queue.refund_tokens(unused)
