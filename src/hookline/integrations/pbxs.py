"""PBXs: what administrators say of a PBX's company, licence and presence events."""

from datetime import UTC, datetime

from hookline.db.models import Pbx
from hookline.domain.access import Principal
from hookline.errors import NotFound
from hookline.integrations import repository
from hookline.integrations.requests import PbxPut
from hookline.integrations.revision import Change, Transactions
from hookline.integrations.schemas import PbxRecord


class PbxService:
    """The one writer of the table `pbxs`. Every method commits before it returns."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def describe(self, pbx: str, description: PbxPut) -> PbxRecord:
        """Keep what is known of a PBX; it holds for the next accepted event.

        The companies of the PBX's integrations are judged again: one that the record confirms is
        vouched for, one that it contradicts no longer is, and one that was not known is filled in.
        """
        async with self._transactions.changing() as change:
            row = await change.session.get(Pbx, pbx) or Pbx(pbx=pbx)
            row.company = description.company
            row.license = description.license
            row.presence_events = description.presence_events
            row.updated_at = datetime.now(UTC)
            row.revision = change.revision
            change.session.add(row)
            await _judge_companies(change, row)
        return _record(row)

    async def read(self, principal: Principal, pbx: str) -> PbxRecord:
        """Return what is known of a PBX; raise NotFound where nothing is, or it is another's."""
        async with self._transactions.reading() as session:
            row = await session.get(Pbx, pbx)
        if row is None or not principal.sees(row.pbx, row.company):
            raise NotFound(f"The PBX {pbx!a} was never described.")
        return _record(row)


async def _judge_companies(change: Change, pbx: Pbx) -> None:
    for integration in await repository.of_pbx(change.session, pbx.pbx):
        company = integration.company or pbx.company
        vouched = company == pbx.company
        if (company, vouched) != (integration.company, integration.company_vouched):
            integration.company, integration.company_vouched = company, vouched
            integration.revision = change.revision
            integration.version += 1


def _record(row: Pbx) -> PbxRecord:
    return PbxRecord.model_validate(
        {
            "pbx": row.pbx,
            "company": row.company,
            "license": row.license,
            "presenceEvents": row.presence_events,
            "updatedAt": row.updated_at,
        }
    )
