"""One more attempt, because somebody asked for it."""

from collections.abc import Callable
from uuid import UUID

from hookline.domain.access import Principal
from hookline.errors import Conflict
from hookline.history.repository import History
from hookline.history.schemas import Delivery
from hookline.integrations.subscriptions import Subscriptions
from hookline.queue.port import Queue

_MOST_TRIES = 3  # a delivery that settles while it is made due is neither here nor there, briefly


class ManualRetries:
    """Makes deliveries due now; `announce` tells whoever claims that something is."""

    def __init__(
        self,
        history: History,
        subscriptions: Subscriptions,
        queue: Queue,
        *,
        announce: Callable[[], None],
    ) -> None:
        self._history = history
        self._subscriptions = subscriptions
        self._queue = queue
        self._announce = announce

    async def retry(self, principal: Principal, delivery_id: UUID) -> Delivery:
        """Have one more attempt made, whatever became of the delivery; return it as it is then.

        A pending one is only made due: asking twice changes nothing. Raises NotFound, or Conflict
        where the integration is deleted or disabled, or the event is past its retention.
        """
        delivery = await self._history.delivery(principal, delivery_id)
        await self._subscriptions.refresh()
        ordered = self._ordered(delivery.integration_id)
        for _ in range(_MOST_TRIES):
            if await self._queue.retry(delivery_id, ordered=ordered):
                delivery = await self._history.delivery(principal, delivery_id)
                self._announce()
                return delivery
        raise Conflict("The event was erased, or is past its retention: it can't be sent again.")

    def _ordered(self, integration_id: str) -> bool:
        """Tell whether the integration keeps order; raise Conflict where it gets nothing."""
        subscription = self._subscriptions.find(integration_id)
        if subscription is None:
            raise Conflict("The integration was deleted; its deliveries can't be sent again.")
        if not subscription.enabled:
            raise Conflict("The integration is disabled; enable it first, then retry.")
        return subscription.ordered
