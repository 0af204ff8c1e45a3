"""What the record of a PBX means for the integrations on it: whose they are, and whether they run.

An integration of another company than the record's gets nothing of the PBX: it is disabled with the
reason `moved`, and enabled again when the PBX moves back.
"""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.models import Integration, Pbx
from hookline.domain.access import Principal
from hookline.domain.notices import disabled
from hookline.errors import Conflict
from hookline.integrations import repository
from hookline.integrations.health import clear_health, find_health, health_before
from hookline.integrations.outbox import announce
from hookline.integrations.patch import switch
from hookline.integrations.revision import Change

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
    await _announce(change.session, moved)


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


async def _announce(session: AsyncSession, moved: list[Integration]) -> None:
    health = await find_health(session, [each.id for each in moved])
    notices = [
        disabled(each.id, MOVED, each.disabled_by or "", health_before(health, each.id))
        for each in moved
    ]
    await announce(session, notices)
