"""PBXs: what is on record of each, and what that means for the integrations on it.

An integration of another company than the record's gets nothing of the PBX: it is disabled with the
reason `moved`, and enabled again when the PBX moves back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pydantic import Field
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.errors import rerunnable
from hookline.db.models import Integration, Pbx
from hookline.db.visibility import pbxs_seen_by
from hookline.domain.access import Principal
from hookline.domain.ids import new_uuid
from hookline.domain.stored import licence_of
from hookline.errors import Conflict, FieldProblem, InvalidInput, NotFound, PreconditionFailed
from hookline.integrations import repository
from hookline.integrations.fields import (
    RETENTION_DAYS,
    Document,
    PbxSerial,
    RetentionDays,
    TimestampField,
)
from hookline.integrations.health import clear_health, find_health, health_before
from hookline.integrations.notices import disabled, write_notices
from hookline.integrations.patch import READ_ONLY, says, switch
from hookline.integrations.repository import Versions
from hookline.integrations.requests import FIXED_PBX_FIELDS, PbxFields, PbxPut
from hookline.integrations.revision import Change, Transactions


class PbxRecord(PbxFields):
    """A PBX, its company and its licence."""

    pbx: PbxSerial
    presence_events: bool = Field(
        description="Whether a `collaboration` PBX sends presence events."
    )
    retention_days: RetentionDays | None = Field(description=RETENTION_DAYS, examples=[7])
    updated_at: TimestampField = Field(description="When the description was last changed.")


class PbxPage(Document):
    """One page of PBX records, those that were described last first."""

    items: list[PbxRecord] = Field(description="The page's records.")
    next: str | None = Field(description="The `cursor` of the next page; `null` on the last one.")


@dataclass(frozen=True, slots=True)
class VersionedPbx:
    """A PBX's record as it is shown, its version (the ETag) and its place in lists."""

    record: PbxRecord
    version: int
    sequence: UUID


@dataclass(frozen=True, slots=True)
class WantedPbxs:
    """Which PBXs a list is about; None: whatever it is. `search` is a part of a serial."""

    company: str | None = None
    license: str | None = None
    search: str | None = None


class PbxService:
    """The one writer of the table `pbxs`. Every method commits before it returns.

    Nothing is kept for more than `retention_days`, so no PBX may ask for more.
    """

    def __init__(self, transactions: Transactions, *, retention_days: int) -> None:
        self._transactions = transactions
        self._retention_days = retention_days

    @rerunnable
    async def put(
        self,
        principal: Principal,
        pbx: str,
        said: PbxPut,
        allowed: Versions = None,
        refused: Versions = None,
    ) -> VersionedPbx:
        """Keep what is known of a PBX; it holds for the next accepted event.

        Where that makes it another company's, integrations of the old one on it are disabled.
        Raises PreconditionFailed for a stale version, and InvalidInput for read-only fields that
        say otherwise and for a retention beyond the service's own.
        """
        self._check_retention(said)
        async with self._transactions.changing() as change:
            row = await change.session.get(Pbx, pbx)
            _check_version(row, allowed, refused)
            _check_read_only(said, pbx, row)
            if row is None or row.deleted_at is not None:
                row = row or Pbx(pbx=pbx)
                row.sequence, row.deleted_at = new_uuid(), None
            elif _says(row) == _said(said):
                return _versioned(row)
            row.company, row.license = said.company, said.license
            row.presence_events = said.presence_events
            row.retention_days = said.retention_days
            row.updated_at = datetime.now(UTC)
            row.revision = change.revision
            change.session.add(row)
            await follow_record(change, row, by=principal.label)
        return _versioned(row)

    async def read(self, principal: Principal, pbx: str) -> VersionedPbx:
        """Return what is known of a PBX; raise NotFound where nothing is, or it is another's."""
        async with self._transactions.reading() as session:
            row = await _find(session, principal, pbx)
        if row is None:
            raise _no_such(pbx)
        return _versioned(row)

    async def page(
        self, principal: Principal, wanted: WantedPbxs, *, before: UUID | None, limit: int
    ) -> Sequence[VersionedPbx]:
        """Return up to `limit` records older than `before`, newest first."""
        query = select(Pbx).where(pbxs_seen_by(principal)).order_by(Pbx.sequence.desc())
        if before is not None:
            query = query.where(Pbx.sequence < before)
        if wanted.company is not None:
            query = query.where(Pbx.company == wanted.company)
        if wanted.license is not None:
            query = query.where(Pbx.license == wanted.license)
        if wanted.search is not None:
            columns = (Pbx.pbx, Pbx.company)
            query = query.where(
                or_(*(c.icontains(wanted.search, autoescape=True) for c in columns))
            )
        async with self._transactions.reading() as session:
            rows = (await session.scalars(query.limit(limit))).all()
        return [_versioned(row) for row in rows]

    @rerunnable
    async def delete(self, principal: Principal, pbx: str, allowed: Versions = None) -> None:
        """Forget what is known of a PBX, so that it is no company's; what is on it stays."""
        async with self._transactions.changing() as change:
            row = await _find(change.session, principal, pbx)
            if row is None:
                raise _no_such(pbx)
            _check_version(row, allowed)
            row.deleted_at = datetime.now(UTC)
            row.revision = change.revision
            await end_vouching(change, pbx)

    def _check_retention(self, said: PbxPut) -> None:
        most = self._retention_days
        if said.retention_days is not None and said.retention_days > most:
            raise InvalidInput(
                FieldProblem(
                    "retentionDays",
                    f"At most {most}: the service keeps everybody's events for {most} days"
                    " (RETENTION_DAYS). Leave it out, or send null, for as many.",
                )
            )


async def _find(session: AsyncSession, principal: Principal, pbx: str) -> Pbx | None:
    return await session.scalar(select(Pbx).where(Pbx.pbx == pbx, pbxs_seen_by(principal)))


def _says(row: Pbx) -> tuple[object, ...]:
    return row.company, row.license, row.presence_events, row.retention_days


def _said(said: PbxPut) -> tuple[object, ...]:
    return said.company, said.license, said.presence_events, said.retention_days


def _check_version(row: Pbx | None, allowed: Versions, refused: Versions = None) -> None:
    current = None if row is None or row.deleted_at is not None else row.revision
    if refused is not None and current in refused:
        raise PreconditionFailed("There is a record of this PBX already; nothing was changed.")
    if allowed is None or current in allowed:
        return
    if current is None:
        raise PreconditionFailed("There is no record of this PBX; nothing was changed.")
    raise PreconditionFailed(
        "The PBX's record was changed meanwhile; read it again and repeat the change."
    )


def _check_read_only(said: PbxPut, pbx: str, row: Pbx | None) -> None:
    """Refuse read-only fields that say something else than the record, as it is shown."""
    shown = None if row is None or row.deleted_at is not None else _versioned(row).record

    def agrees(name: str, value: object) -> bool:
        return says(shown, name, value) if shown else name != "pbx" or value == pbx

    otherwise = [name for name, value in said.read_only.items() if not agrees(name, value)]
    if otherwise:
        messages = {name: f"{READ_ONLY} {FIXED_PBX_FIELDS[name]}" for name in otherwise}
        raise InvalidInput(*(FieldProblem(name, told) for name, told in messages.items()))


def _no_such(pbx: str) -> NotFound:
    return NotFound(f"The PBX {pbx!a} was never described.")


def _versioned(row: Pbx) -> VersionedPbx:
    record = PbxRecord.model_validate(
        {
            "pbx": row.pbx,
            "company": row.company,
            "license": licence_of(row.license),
            "presenceEvents": row.presence_events,
            "retentionDays": row.retention_days,
            "updatedAt": row.updated_at,
        }
    )
    return VersionedPbx(record, row.revision, row.sequence)


MOVED = "moved"


async def follow_record(change: Change, record: Pbx, *, by: str) -> None:
    """Bring all integrations of a PBX in line with its record; `by` is who wrote that.

    One whose company was not known gets the record's, and one of the record's company is vouched
    for. One of another company is disabled.
    """
    moved: list[Integration] = []
    for integration in await repository.of_pbx(change.session, record.pbx):
        was = _state(integration)
        if integration.company in {None, record.company}:
            integration.company, integration.company_vouched = record.company, True
            if integration.disabled_reason == MOVED:
                switch(integration, enabled=True, reason=MOVED, by=by)
                await clear_health(change.session, integration.id)
        elif integration.enabled:
            switch(integration, enabled=False, reason=MOVED, by=by)
            moved.append(integration)
        if _state(integration) != was:
            _touch(integration, change)
    await _write_notices(change.session, moved)


async def end_vouching(change: Change, pbx: str) -> None:
    """Have no company's key see, and no event of a company reach, what is on a PBX without record.

    The PBX's own events go on reaching it.
    """
    for integration in await repository.of_pbx(change.session, pbx):
        if integration.company_vouched:
            integration.company_vouched = False
            _touch(integration, change)


async def settle_enabling(
    session: AsyncSession, principal: Principal, integration: Integration, *, was_moved: bool
) -> None:
    """Let an integration be enabled only where its PBX is its company's.

    An administrator hands it over to the PBX's company with that; for anybody else it is a
    Conflict.
    """
    recorded = await repository.recorded_company(session, integration.pbx)
    at_home = recorded in {None, integration.company} and not was_moved
    if integration.pbx is None or at_home:
        return
    if not principal.is_admin:
        raise Conflict(
            f"The PBX {integration.pbx} has moved to another company, so this integration gets"
            " nothing of it. It is enabled again when the PBX moves back; an administrator can"
            " also enable it for the PBX's company."
        )
    if recorded is not None:
        integration.company, integration.company_vouched = recorded, True


def _state(integration: Integration) -> tuple[str | None, bool, bool]:
    return integration.company, integration.company_vouched, integration.enabled


def _touch(integration: Integration, change: Change) -> None:
    integration.revision = change.revision
    integration.version += 1
    integration.updated_at = datetime.now(UTC)


async def _write_notices(session: AsyncSession, moved: list[Integration]) -> None:
    health = await find_health(session, [each.id for each in moved])
    notices = [
        disabled(each.id, MOVED, each.disabled_by or "", health_before(health, each.id))
        for each in moved
    ]
    await write_notices(session, notices)
