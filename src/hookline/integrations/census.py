"""How many integrations are in which state, as all processes know it."""

from typing import Final

from sqlalchemy import case, func, select

from hookline.db.models import Integration, IntegrationHealth
from hookline.domain.health import HealthState
from hookline.domain.stored import health_state_of
from hookline.integrations.revision import Transactions

_STATE: Final = case(
    (Integration.enabled, func.coalesce(IntegrationHealth.state, HealthState.HEALTHY)),
    else_=HealthState.DISABLED,
)
_COUNT: Final = (
    select(_STATE, func.count())
    .select_from(Integration)
    .outerjoin(IntegrationHealth, IntegrationHealth.integration_id == Integration.id)
    .where(Integration.deleted_at.is_(None))
    .group_by(_STATE)
)


class Census:
    """Counts the integrations that exist."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def by_state(self) -> dict[HealthState, int]:
        """Return how many integrations are in each state, none left out. Raises Unavailable."""
        async with self._transactions.reading() as session:
            rows = (await session.execute(_COUNT)).all()
        counts = dict.fromkeys(HealthState, 0)
        for state, count in rows:
            counts[health_state_of(state)] += count
        return counts

    async def paused(self) -> set[str]:
        """Return the integrations that are paused. Raises Unavailable."""
        query = select(IntegrationHealth.integration_id)
        async with self._transactions.reading() as session:
            rows = await session.scalars(query.where(IntegrationHealth.state == HealthState.PAUSED))
        return set(rows)
