"""Statements on the records: integrations found, listed and counted; what ended, removed.

The caller owns the transaction, but for removals, of which each is one of its own. A deleted
integration says who may see its deliveries, so it stays while a day is kept on which it was there.
A key that ended is listed for as long as events are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, TextClause, and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.errors import rerunnable
from hookline.db.models import Integration, Pbx
from hookline.db.partitions import days_between
from hookline.db.statements import statement
from hookline.db.visibility import integrations_shown_to
from hookline.domain.access import Principal
from hookline.integrations.creation import KEPT_FOR
from hookline.integrations.revision import Transactions
from hookline.logs import get_logger

Versions = frozenset[int] | None
"""The versions that a caller's If-Match allows; None: whichever is current, or none."""
_SLACK = timedelta(days=1)  # clocks differ, and a day's ids are made in its own minutes alone
_AT_ONCE = 1_000  # rows a statement: short transactions
_KEPT_DAYS = text(statement("db/kept_days"))
_DELETED = text(statement("integrations/remove_deleted_integrations"))
_ENDED = text(statement("integrations/remove_ended_keys"))
_UNKNOWN_TYPES = text(statement("integrations/remove_unknown_types"))
_HEALTH = text(statement("integrations/remove_health"))
_RESULTS = text(statement("integrations/remove_idempotency_keys"))
_LOG = get_logger(__name__)


class _Existing(frozenset[int]):
    def __contains__(self, version: object) -> bool:
        return version is not None


EXISTING: Final[Versions] = _Existing()
"""Whichever version is current, as long as there is one: `*`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which integrations a list is about; None: whatever it is.

    `search` is a part of the name, the URL or the id.
    """

    pbx: str | None = None
    company: str | None = None
    type: str | None = None
    enabled: bool | None = None
    search: str | None = None


async def find(
    session: AsyncSession, integration_id: str, principal: Principal
) -> Integration | None:
    """Return a living integration that the principal may know of."""
    return await session.scalar(_living(principal).where(Integration.id == integration_id))


async def page(
    session: AsyncSession,
    principal: Principal,
    wanted: Wanted,
    *,
    before: UUID | None,
    limit: int,
) -> Sequence[Integration]:
    """Return up to `limit` integrations older than `before`, newest first."""
    query = _living(principal).order_by(Integration.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(Integration.sequence < before)
    filters: dict[Any, object] = {
        Integration.pbx: wanted.pbx,
        Integration.company: wanted.company,
        Integration.type: wanted.type,
        Integration.enabled: wanted.enabled,
    }
    for column, value in filters.items():
        if value is not None:
            query = query.where(column == value)
    if wanted.search is not None:
        columns = (Integration.name, Integration.url, Integration.id)
        query = query.where(or_(*(c.icontains(wanted.search, autoescape=True) for c in columns)))
    return (await session.scalars(query)).all()


async def of_pbx(session: AsyncSession, pbx: str) -> Sequence[Integration]:
    """Return all living integrations of one PBX."""
    query = select(Integration).where(Integration.pbx == pbx, Integration.deleted_at.is_(None))
    return (await session.scalars(query)).all()


async def count_of(
    session: AsyncSession, pbx: str | None, company: str | None, *, besides: str | None = None
) -> int:
    """Return how many living integrations, `besides` one, a PBX has, or a company for no PBX.

    Those that a former company left on the PBX are not counted.
    """
    owned = (
        Integration.pbx == pbx
        if pbx is not None
        else and_(Integration.pbx.is_(None), Integration.company == company)
    )
    query = select(func.count()).where(
        owned,
        Integration.deleted_at.is_(None),
        Integration.disabled_reason.is_distinct_from("moved"),
        Integration.id.is_distinct_from(besides),
    )
    return (await session.execute(query)).scalar_one()


async def recorded_company(session: AsyncSession, pbx: str | None) -> str | None:
    """Return the company on a PBX's record, if there is one."""
    if pbx is None:
        return None
    living = select(Pbx.company).where(Pbx.pbx == pbx, Pbx.deleted_at.is_(None))
    return await session.scalar(living)


async def is_taken(session: AsyncSession, integration_id: str) -> bool:
    """Tell whether an id was ever given to an integration, a deleted one included."""
    return await session.get(Integration, integration_id) is not None


def _living(principal: Principal) -> Select[Integration]:
    return select(Integration).where(
        Integration.deleted_at.is_(None), integrations_shown_to(principal)
    )


class RecordRetention:
    """Removes what ended more than `days` ago. Any number of processes may do so at once."""

    def __init__(self, transactions: Transactions, *, days: int) -> None:
        self._transactions = transactions
        self._days = days

    async def keep(self, now: datetime | None = None) -> None:
        """Remove what may go. Raises Unavailable."""
        now = now or datetime.now(UTC)
        edge = now - timedelta(days=self._days)
        removed = {
            "integrations": await self._remove(_DELETED, edge=min(edge, await self._oldest_day())),
            "keys": await self._remove(_ENDED, edge=edge),
            "unknown_types": await self._remove(_UNKNOWN_TYPES, edge=edge),
            "health": await self._remove(_HEALTH),
            "results": await self._remove(_RESULTS, edge=now - KEPT_FOR),
        }
        if any(removed.values()):
            _LOG.info("records.removed", **removed)

    async def _oldest_day(self) -> datetime:
        """Return a moment before all that is stored of events and deliveries."""
        async with self._transactions.reading() as session:
            days = days_between(*(await session.execute(_KEPT_DAYS)).one())
        oldest = datetime.now(UTC).date() if days is None else days[0]
        return datetime(oldest.year, oldest.month, oldest.day, tzinfo=UTC) - _SLACK

    async def _remove(self, statement: TextClause, **parameters: datetime) -> int:
        removed = 0
        while True:
            count = await self._remove_some(statement, parameters)
            removed += count
            if count < _AT_ONCE:
                return removed

    @rerunnable
    async def _remove_some(self, statement: TextClause, parameters: dict[str, datetime]) -> int:
        async with self._transactions.noting() as session:
            rows = await session.execute(statement, {**parameters, "most": _AT_ONCE})
            return len(rows.all())
