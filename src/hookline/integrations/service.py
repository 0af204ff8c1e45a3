"""Integrations: made, read, changed, switched off and deleted, always inside the caller's scope.

Every method commits before it returns. Another tenant's integration does not exist: NotFound.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.errors import rerunnable
from hookline.db.models import Integration as Row
from hookline.db.models import IntegrationHealth
from hookline.domain.access import Principal
from hookline.domain.catalogue import Catalogue
from hookline.domain.ids import new_integration_id, new_webhook_secret
from hookline.domain.targets import TransmissionType
from hookline.errors import Conflict, DecryptionFailed, Forbidden, NotFound, PreconditionFailed
from hookline.integrations import repository
from hookline.integrations.checks import Checks
from hookline.integrations.creation import (
    IdempotencyKey,
    check_new,
    find_result,
    forget_results,
    keep_result,
    pbx_of,
    row_of,
    settle_tenancy,
)
from hookline.integrations.encryption import retire_secret, secret_binding
from hookline.integrations.health import clear_health, find_health, health_before
from hookline.integrations.notices import disabled, write_notices
from hookline.integrations.patch import (
    apply_patch,
    check_read_only,
    check_url,
    starts_afresh,
    switch,
)
from hookline.integrations.pbxs import MOVED, settle_enabling
from hookline.integrations.repository import Versions, Wanted
from hookline.integrations.requests import IntegrationCreate, IntegrationPatch
from hookline.integrations.revision import Change, Transactions
from hookline.integrations.serializers import Listed, Serializer, SigningSecret, WebhookTransmission
from hookline.security.egress.policy import EgressPolicy
from hookline.security.secrets import KeyRing

_ID = re.compile("[a-z0-9]{6}")
_ITSELF = "hookline"  # who switches off what nobody switched off by hand

Refresh = Callable[[], Awaitable[None]]
"""Has snapshots, and with them the catalogue, know all that was changed up to now."""


class IntegrationService:
    """The writer of the table `integrations`; PbxService alone writes their companies besides."""

    def __init__(  # noqa: PLR0913 - the composition root hands over each part by name
        self,
        transactions: Transactions,
        keyring: KeyRing,
        policy: EgressPolicy,
        catalogue: Catalogue,
        *,
        most_per_pbx: int = 100,
        refresh: Refresh | None = None,
    ) -> None:
        self._transactions = transactions
        self._most_per_pbx = most_per_pbx
        self._keyring = keyring
        self._policy = policy
        self._catalogue = catalogue
        self._refresh = refresh
        self._serializer = Serializer(keyring, catalogue)

    async def create(
        self, principal: Principal, new: IntegrationCreate, idempotency_key: str | None = None
    ) -> Listed:
        """Make an integration; what is returned holds a webhook's secret.

        The same request with the same idempotency key makes nothing and returns the first result.
        Raises InvalidInput with every wrong field, Forbidden for another tenant's PBX or company,
        Conflict where that PBX, or the company without a PBX, has as many as it may, or the key
        came with another request.
        """
        key = None
        if idempotency_key is not None:
            key = IdempotencyKey.of(principal, idempotency_key, new)
            async with self._transactions.reading() as session:  # before look-ups and locks
                if first := await find_result(session, key, self._keyring):
                    return first
        return await self._create(principal, new, key)

    @rerunnable
    async def _create(
        self, principal: Principal, new: IntegrationCreate, key: IdempotencyKey | None
    ) -> Listed:
        await self._know_types()
        pbx = pbx_of(principal, new.pbx)
        checked = await check_new(new, self._checks(pbx, new.company or principal.company))
        async with self._transactions.changing() as change:
            if key is not None and (first := await find_result(change.session, key, self._keyring)):
                await change.session.rollback()
                return first
            recorded = await repository.recorded_company(change.session, pbx)
            whose = settle_tenancy(principal, pbx, new.company, recorded)
            await self._check_room(change.session, whose.pbx, whose.company)
            found = await _free_id(change.session)
            row = row_of(new, checked, found, self._keyring, by=principal.label)
            row.pbx, row.company, row.company_vouched = whose.pbx, whose.company, whose.vouched
            row.revision = change.revision
            change.session.add(row)
            made = self._serializer.integration(row, with_secret=True, with_warnings=True)
            if key is not None:
                await keep_result(change.session, key, made, self._keyring)
        return made

    async def read(self, principal: Principal, integration_id: str) -> Listed:
        """Return one integration."""
        async with self._transactions.reading() as session:
            row = await _existing(session, integration_id, principal)
            health = await find_health(session, [integration_id])
        return self._shown(principal, row, health)

    async def page(
        self, principal: Principal, wanted: Wanted, *, before: UUID | None, limit: int
    ) -> Sequence[Listed]:
        """Return up to `limit` integrations that are older than `before`, newest first."""
        async with self._transactions.reading() as session:
            rows = await repository.page(session, principal, wanted, before=before, limit=limit)
            health = await find_health(session, [row.id for row in rows])
        return [self._shown(principal, row, health) for row in rows]

    async def check_manages(self, principal: Principal, integration_id: str) -> None:
        """Raise Forbidden for an integration that the principal may know of but not use."""
        await self._row(principal, integration_id)

    @rerunnable
    async def change(
        self,
        principal: Principal,
        integration_id: str,
        patch: IntegrationPatch,
        allowed: Versions,
    ) -> Listed:
        """Merge a patch into an integration.

        Raises InvalidInput with every wrong field, PreconditionFailed for a stale version.
        """
        if patch.events is not None:
            await self._know_types()
        before = await self._row(principal, integration_id)
        checks = self._checks(before.pbx, before.company)
        await check_url(patch, before, checks)
        async with self._transactions.changing() as change:
            session = change.session
            row = await _current(session, integration_id, principal, allowed)
            health = await find_health(session, [integration_id])
            self._check_read_only(patch, row, health.get(integration_id), checks)
            was_enabled, was_moved = row.enabled, row.disabled_reason == MOVED
            afresh = starts_afresh(patch, row)
            apply_patch(patch, row, self._keyring, checks, by=principal.label)
            changed = session.is_modified(row)  # before anything is asked, which flushes it
            if row.enabled and not was_enabled:
                await self._check_enabling(session, principal, row, was_moved=was_moved)
            if changed:
                _touch(row, change)
            if was_enabled and not row.enabled:
                await _write_disabled_notice(session, row, health)
            if afresh and await clear_health(session, integration_id):
                changed, health = True, {}
            shown = self._serializer.integration(
                row, health.get(integration_id), with_warnings=True
            )
            if not changed:
                await session.rollback()  # no new revision, and nobody is told of one
        return shown

    @rerunnable
    async def delete(self, principal: Principal, integration_id: str, allowed: Versions) -> None:
        """Delete an integration: its row stays to name its deliveries, without anything secret."""
        async with self._changing(principal, integration_id, allowed) as (row, session):
            await clear_health(session, integration_id)
            await forget_results(session, integration_id)
            row.deleted_at = row.updated_at
            row.enabled = False
            row.url = ""  # customers put tokens into URLs as well
            row.access_key_id = row.headers = row.secret = None
            row.old_secrets, row.old_secrets_until = [], []

    async def secret(self, principal: Principal, integration_id: str) -> SigningSecret:
        """Return a webhook's secret; raise Conflict for an AWS_SQS integration."""
        row = await self._row(principal, integration_id)
        _refuse_sqs(row)
        try:
            return self._serializer.secret(row)
        except DecryptionFailed as error:
            raise Conflict(
                "The stored secret cannot be read; POST …/rotate-secret makes a new one."
            ) from error

    @rerunnable
    async def rotate_secret(
        self, principal: Principal, integration_id: str, grace: timedelta, allowed: Versions
    ) -> SigningSecret:
        """Give a webhook a new secret; the old one signs along for `grace`, without it none does.

        Raises Conflict where too many old secrets would sign along.
        """
        async with self._changing(principal, integration_id, allowed) as (row, _):
            _refuse_sqs(row)
            retire_secret(row, self._keyring, grace)
            row.secret = self._keyring.encrypt(
                new_webhook_secret(), bound_to=secret_binding(row.id)
            )
        return self._serializer.secret(row)

    @rerunnable
    async def disable_gone(self, integration_id: str, url: str) -> bool:
        """Switch an integration off whose target answered 410; tell whether that was done.

        Nothing is done where it was switched off, deleted or given another URL meanwhile.
        """
        async with self._transactions.changing() as change:
            row = await change.session.get(Row, integration_id, with_for_update=True)
            if row is None or not row.enabled or row.url != url:
                return False
            switch(row, enabled=False, reason="gone", by=_ITSELF)
            _touch(row, change)
            health = await find_health(change.session, [integration_id])
            await _write_disabled_notice(change.session, row, health)
        return True

    @rerunnable
    async def disable_failing(self, integration_id: str, since: datetime) -> bool:
        """Switch an integration off that has failed since then; tell whether that was done.

        Nothing is done where it was switched off or deleted, or anything got through, meanwhile.
        """
        async with self._transactions.changing() as change:
            row = await change.session.get(Row, integration_id, with_for_update=True)
            health = await find_health(change.session, [integration_id])
            still = integration_id in health and health[integration_id].failing_since == since
            if row is None or not row.enabled or not still:
                return False
            switch(row, enabled=False, reason="failing", by=_ITSELF)
            _touch(row, change)
            await _write_disabled_notice(change.session, row, health)
        return True

    @asynccontextmanager
    async def _changing(
        self, principal: Principal, integration_id: str, allowed: Versions
    ) -> AsyncIterator[tuple[Row, AsyncSession]]:
        """Hand out the row to change, as a new version; committed when the block ends."""
        _refuse_malformed(integration_id)  # before the revision is bumped
        async with self._transactions.changing() as change:
            row = await _current(change.session, integration_id, principal, allowed)
            _touch(row, change)
            yield row, change.session

    async def _check_room(
        self,
        session: AsyncSession,
        pbx: str | None,
        company: str | None,
        besides: str | None = None,
    ) -> None:
        """Raise Conflict where no integration may be added; exact, as writers go one by one."""
        there = await repository.count_of(session, pbx, company, besides=besides)
        if there < self._most_per_pbx:
            return
        owner = f"PBX {pbx}" if pbx is not None else f"company {company}, without a PBX,"
        raise Conflict(
            f"The {owner} has {self._most_per_pbx} integrations, the most that are possible;"
            " delete one that is not needed, or ask the operator for more"
            " (MAX_INTEGRATIONS_PER_PBX)."
        )

    async def _check_enabling(
        self, session: AsyncSession, principal: Principal, row: Row, *, was_moved: bool
    ) -> None:
        """Raise Conflict where an integration may not be enabled, as its PBX is another's now."""
        await settle_enabling(session, principal, row, was_moved=was_moved)
        if was_moved:
            await self._check_room(session, row.pbx, row.company, besides=row.id)

    def _check_read_only(
        self, patch: IntegrationPatch, row: Row, health: IntegrationHealth | None, checks: Checks
    ) -> None:
        """Raise InvalidInput where a patch gives what is only read another value."""
        sent = patch.transmission.read_only if patch.transmission else {}
        shown = self._serializer.integration(
            row, health, with_secret="secret" in sent, with_warnings="warnings" in patch.read_only
        )
        check_read_only(patch, shown.integration, checks)

    async def _row(self, principal: Principal, integration_id: str) -> Row:
        async with self._transactions.reading() as session:
            return await _managed(session, integration_id, principal)

    def _shown(
        self, principal: Principal, row: Row, health: Mapping[str, IntegrationHealth]
    ) -> Listed:
        """Show an integration without its headers, which hold credentials, to who only knows it."""
        listed = self._serializer.integration(row, health.get(row.id))
        transmission = listed.integration.transmission
        if not _manages(principal, row) and isinstance(transmission, WebhookTransmission):
            transmission.headers = {}
        return listed

    async def _know_types(self) -> None:
        """Have the catalogue know what was added to it a moment ago in another process."""
        if self._refresh is not None:
            await self._refresh()

    def _checks(self, pbx: str | None, company: str | None) -> Checks:
        return Checks(self._policy, self._catalogue, pbx or company or "")


async def _existing(session: AsyncSession, integration_id: str, principal: Principal) -> Row:
    _refuse_malformed(integration_id)
    row = await repository.find(session, integration_id, principal)
    if row is None:
        raise _no_such(integration_id)
    return row


async def _current(
    session: AsyncSession, integration_id: str, principal: Principal, allowed: Versions
) -> Row:
    """Return the row to change; raise PreconditionFailed where another version was meant."""
    row = await _managed(session, integration_id, principal)
    if allowed is not None and row.version not in allowed:
        raise PreconditionFailed(
            "The integration was changed meanwhile; read it again and repeat the change."
        )
    return row


async def _managed(session: AsyncSession, integration_id: str, principal: Principal) -> Row:
    """Return an integration of the principal's own; raise Forbidden where it only knows of it."""
    row = await _existing(session, integration_id, principal)
    if not _manages(principal, row):
        raise Forbidden(
            "This integration is a former company's, which its PBX has moved from: it gets nothing"
            " of the PBX, and only that company or an administrator may change or use it."
        )
    return row


def _manages(principal: Principal, row: Row) -> bool:
    return principal.sees(row.pbx, row.company if row.company_vouched else None)


async def _write_disabled_notice(
    session: AsyncSession, row: Row, health: Mapping[str, IntegrationHealth]
) -> None:
    """Tell of an integration that is switched off by this transaction, why and by whom."""
    reason, by = row.disabled_reason or "", row.disabled_by or ""
    await write_notices(session, [disabled(row.id, reason, by, health_before(health, row.id))])


def _touch(row: Row, change: Change) -> None:
    row.version += 1
    row.revision = change.revision
    row.updated_at = datetime.now(UTC)


def _refuse_malformed(integration_id: str) -> None:
    """Raise NotFound for what is no id: the database cannot even read some, such as a NUL."""
    if not _ID.fullmatch(integration_id):
        raise _no_such(integration_id)


def _no_such(integration_id: str) -> NotFound:
    return NotFound(f"There is no integration {integration_id[:40]!a}.")


def _refuse_sqs(row: Row) -> None:
    if row.type == TransmissionType.AWS_SQS:
        raise Conflict(
            "An AWS_SQS integration signs with its AWS secret access key, which is never shown;"
            " to change it, PATCH transmission.accessKeyId and transmission.secretAccessKey."
        )


async def _free_id(session: AsyncSession) -> str:
    while await repository.is_taken(session, found := new_integration_id()):
        pass
    return found
