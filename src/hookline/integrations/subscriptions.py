"""Matches events to integrations in memory, by a snapshot that knows how new it is.

The snapshot follows one revision number, bumped in the transaction of every change. Whoever stores
events names the revision that they were matched at; the store refuses an old one, and `catch_up`
loads what changed. So a change that was committed before an event was accepted always counts, in
every process, and matching itself does no I/O.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select

from hookline.db.models import CustomEventType, Integration, Pbx, Revision
from hookline.domain.access import Tenant
from hookline.domain.catalogue import Catalogue, EventType
from hookline.domain.deliveries import SkipReason
from hookline.domain.events import Event
from hookline.domain.retries import NO_POLICY, GroupPolicy
from hookline.domain.selection import PbxPolicy, allows
from hookline.domain.stored import licence_of
from hookline.domain.targets import (
    WebhookTarget,
)
from hookline.integrations.event_types import event_type_of
from hookline.integrations.revision import Transactions
from hookline.integrations.subscription import Match, Subscription, subscription_of
from hookline.security.secrets import KeyRing

_MOST_MATCHES = 64  # remembered answers of a PBX or company: more than there are event types

__all__ = ["Listener", "Match", "Subscription", "Subscriptions"]


Listener = Callable[[Subscription | None, Subscription | None], None]
"""Is told of an integration as it was and as it is: None before it was known, or once deleted."""


class Subscriptions:
    """The snapshot of all integrations and PBXs, indexed by who may get an event."""

    def __init__(self, transactions: Transactions, catalogue: Catalogue, keyring: KeyRing) -> None:
        self._transactions = transactions
        self._catalogue = catalogue
        self._keyring = keyring
        self._all: dict[str, Subscription] = {}
        self._rotated: set[str] = set()  # those with secrets that sign along for a while
        self._by_pbx: dict[str, set[str]] = {}
        self._by_company: dict[str, set[str]] = {}
        self._pbxs: dict[str, PbxPolicy] = {}
        self._custom: dict[str, EventType] = {}
        self._matches: dict[tuple[str | None, str | None], dict[str, Match]] = {}
        self._catching_up = asyncio.Lock()
        self._begun = self._loaded = 0  # which load was begun last, and which one succeeded last
        self._listeners: list[Listener] = []
        self.revision = 0

    def tells(self, listener: Listener) -> None:
        """Have `listener` told as well of each integration that changes."""
        self._listeners.append(listener)

    async def catch_up(self, beyond: int | None = None) -> None:
        """Load every change since the snapshot; with `beyond`, only if it is not newer than that.

        Raises Unavailable while the database is away; the snapshot then stays as it was.
        """
        async with self._catching_up:
            if beyond is None or self.revision <= beyond:
                await self._load()

    def unchanged(self) -> AbstractAsyncContextManager[int]:
        """Let no record change while the block lasts, in any process; give the revision."""
        return self._transactions.unchanged()

    async def refresh(self) -> None:
        """Load every change up to now; those who ask while one loads share the next load."""
        asked = self._begun
        async with self._catching_up:
            if self._loaded <= asked:
                await self._load()

    async def _load(self) -> None:
        self._begun += 1
        begun = self._begun
        async with self._transactions.reading() as session:
            # The number first: a change that commits in between is loaded now and once more.
            revision = (await session.execute(select(Revision.value))).scalar_one()
            changed = select(Integration).where(Integration.revision > self.revision)
            integrations = (await session.execute(changed)).scalars().all()
            described = select(Pbx).where(Pbx.revision > self.revision)
            pbxs = (await session.execute(described)).scalars().all()
            added = select(CustomEventType).where(CustomEventType.revision > self.revision)
            types = (await session.execute(added)).scalars().all()
        if types:
            self._take_types(types)
        if integrations or pbxs:
            self._take(integrations, pbxs)
        self.revision = revision
        self._loaded = begun

    def forget_expired(self, now: datetime) -> None:
        """Drop rotated secrets whose grace period is over; nothing of them stays in memory."""
        for integration_id in list(self._rotated):
            known = self._all[integration_id]
            assert isinstance(known.target, WebhookTarget)  # noqa: S101 - no other one is noted
            target = known.target.at(now)
            if target is not known.target:
                self._add(replace(known, target=target))
                self._matches.clear()

    def find(self, integration_id: str) -> Subscription | None:
        """Return the integration of this id; None where it does not exist (any more)."""
        return self._all.get(integration_id)

    def company_of(self, pbx: str) -> str | None:
        """Return the company that a PBX is known to belong to."""
        policy = self._pbxs.get(pbx)
        return policy.company if policy else None

    def tenant_of(self, event: Event) -> Tenant:
        """Return whose a routed event is: its PBX's, or without one its company's."""
        if event.pbx is None:
            return Tenant(event.company, None)
        return Tenant(self.company_of(event.pbx), event.pbx)

    def by_tenant(self, counted: Mapping[str, int]) -> dict[Tenant, int]:
        """Add up numbers of integrations by whose those are; deleted ones are nobody's."""
        sums: dict[Tenant, int] = {}
        for integration_id, count in counted.items():
            owner = self.owner_of(integration_id)
            sums[owner] = sums.get(owner, 0) + count
        return sums

    def owner_of(self, integration_id: str) -> Tenant:
        """Return whose an integration is, as its PBX's record says now."""
        known = self._all.get(integration_id)
        if known is None:
            return Tenant(None, None)
        company = known.company if known.pbx is None else self.company_of(known.pbx)
        return Tenant(company, known.pbx)

    def match(self, event: Event) -> Match:
        """Say who gets an event: the integrations of its PBX, without one those of its company.

        Where the answer is conditional, filters are still to be asked.
        """
        company = event.company if event.pbx is None else None
        if self.reserves(event.type):  # rare, and each about another integration: not remembered
            return self._find_match(event.pbx, company, event.type, about=event.subject)
        matches = self._matches.get((event.pbx, company))
        match = matches.get(event.type) if matches is not None else None
        if match is None:
            match = self._find_match(event.pbx, company, event.type)
            self._remember(match, event.pbx, company, event.type)
        return match

    def would_get(
        self, subscription: Subscription, pbx: str | None, event_type: str, subject: str
    ) -> bool:
        """Whether an integration would get such an event of its PBX or company, sent today."""
        if self.reserves(event_type) and subject == subscription.integration_id:
            return False
        return self._reason_to_skip(subscription, pbx, event_type) is None

    def _remember(
        self, match: Match, pbx: str | None, company: str | None, event_type: str
    ) -> None:
        """Keep an answer until something changes, or its PBX or company has too many of them.

        Nothing is kept of those without integrations: senders could name any number of them.
        """
        if not match.wanted and match.skipped is None:
            return
        matches = self._matches.setdefault((pbx, company), {})
        if len(matches) >= _MOST_MATCHES:
            matches.clear()
        matches[event_type] = match

    def policy_of(self, subscription: Subscription, event_type: str) -> GroupPolicy:
        """Return what events of a type are worth to an integration."""
        if not subscription.policies:
            return NO_POLICY
        return subscription.policies.get(self.group_of(event_type) or "", NO_POLICY)

    def group_of(self, event_type: str) -> str | None:
        """Return the group of an event type; None: nobody gets its events."""
        return self._catalogue.group_of(event_type)

    def longest_delay(self) -> float:
        """Return the longest delay that any integration asks for before a retry, in seconds."""
        policies = (policy for each in self._all.values() for policy in each.policies.values())
        return max((delay for p in policies for delay in p.retry_delays or ()), default=0.0)

    def reserves(self, event_type: str) -> bool:
        """Whether this type is one of Hookline's own events, which nobody may send."""
        return self._catalogue.is_reserved(event_type)

    def _find_match(
        self, pbx: str | None, company: str | None, event_type: str, *, about: str | None = None
    ) -> Match:
        if pbx is not None:
            considered = self._by_pbx.get(pbx, set())
        else:
            considered = self._by_company.get(company or "", set())
        wanted: list[Subscription] = []
        skipped: dict[str, list[str]] = {}
        for integration_id in sorted(considered):
            subscription = self._all[integration_id]
            reason = self._reason_to_skip(subscription, pbx, event_type)
            if reason is None and integration_id == about:
                reason = SkipReason.FILTERED  # nobody is told of its own failures: no loops
            if reason is None:
                wanted.append(subscription)
            else:
                skipped.setdefault(reason.value, []).append(integration_id)
        return Match.of(wanted, skipped)

    def _reason_to_skip(
        self, subscription: Subscription, pbx: str | None, event_type: str
    ) -> SkipReason | None:
        group = self._catalogue.group_of(event_type)
        if group is None:
            return SkipReason.UNKNOWN_TYPE
        if not subscription.selection.wants(event_type, group):
            return SkipReason.NOT_SELECTED
        if not subscription.enabled:
            return SkipReason.DISABLED
        policy = self._pbxs.get(pbx) if pbx is not None else None
        if not allows(policy, licensed=self._catalogue.is_licensed(event_type)):
            return SkipReason.LICENCE
        return None

    def _take_types(self, rows: Iterable[CustomEventType]) -> None:
        for row in rows:
            if row.deleted_at is None:
                self._custom[row.name] = event_type_of(row)
            else:
                self._custom.pop(row.name, None)
        self._catalogue.take(self._custom.values())
        self._matches.clear()

    def _take(self, integrations: Iterable[Integration], pbxs: Iterable[Pbx]) -> None:
        for row in integrations:
            before = self._all.get(row.id)
            self._remove(row.id)
            if row.deleted_at is None:
                self._add(subscription_of(row, self._catalogue, self._keyring))
            for listener in self._listeners:
                listener(before, self._all.get(row.id))
        for pbx in pbxs:
            self._pbxs.pop(pbx.pbx, None)
            if pbx.deleted_at is None:
                self._pbxs[pbx.pbx] = PbxPolicy(
                    pbx.company, licence_of(pbx.license), pbx.presence_events
                )
        self._matches.clear()

    def _add(self, subscription: Subscription) -> None:
        self._all[subscription.integration_id] = subscription
        self._rotated.discard(subscription.integration_id)
        if isinstance(subscription.target, WebhookTarget) and subscription.target.until:
            self._rotated.add(subscription.integration_id)
        for index, owner in (
            (self._by_pbx, subscription.pbx),
            (self._by_company, subscription.company),
        ):
            if owner is not None:
                index.setdefault(owner, set()).add(subscription.integration_id)

    def _remove(self, integration_id: str) -> None:
        known = self._all.pop(integration_id, None)
        self._rotated.discard(integration_id)
        if known is None:
            return
        for index, owner in ((self._by_pbx, known.pbx), (self._by_company, known.company)):
            if owner is not None:
                index[owner].discard(integration_id)
                if not index[owner]:
                    del index[owner]
