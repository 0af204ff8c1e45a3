"""Every statement on the integrations' rows; the caller owns the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.models import Integration, Pbx
from hookline.db.visibility import integrations_shown_to
from hookline.domain.access import Principal

Versions = frozenset[int] | None
"""The versions that a caller's If-Match allows; None: whichever is current, or none."""


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
