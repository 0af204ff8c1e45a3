"""Who wants this event? Answered from memory, from a snapshot that knows how new it is.

The snapshot follows one revision number, bumped in the transaction of every change. Whoever stores
events names the revision that they were matched at; the store refuses an old one, and `catch_up`
loads what changed. So a change that was committed before an event was accepted always counts, in
every process, and matching itself does no I/O.
"""

import asyncio
import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import orjson
from sqlalchemy import select

from hookline.db.models import CustomEventType, Integration, Pbx, Revision
from hookline.domain.access import Tenant
from hookline.domain.catalogue import Catalogue, EventType
from hookline.domain.deliveries import SkipReason
from hookline.domain.events import Event
from hookline.domain.filter_values import MOST_STEPS, Work
from hookline.domain.filters import Filter, parse_filter
from hookline.domain.group_policies import NO_POLICY, GroupPolicies, GroupPolicy, restore_policies
from hookline.domain.licences import PbxPolicy, allows
from hookline.domain.selection import ALL, Selection, restore_selection
from hookline.domain.stored import licence_of, ordering_chosen
from hookline.domain.targets import (
    Ordering,
    Target,
    TransmissionType,
    WebhookTarget,
    ordering_of,
)
from hookline.errors import BrokenSeal
from hookline.integrations.custom_types import event_type_of
from hookline.integrations.revision import Transactions
from hookline.integrations.sealing import open_target
from hookline.logs import get_logger
from hookline.security.secrets import KeyRing

_MOST_MATCHES = 64  # remembered answers of a PBX or company: more than there are event types
_LARGE = 64 * 1024  # bytes of an event that takes as long to parse as others may wait
_STEPS_AT_ONCE = 5 * MOST_STEPS  # of filters; a few milliseconds
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What matching and delivery know of an integration. No `target`: its seal is broken."""

    integration_id: str
    pbx: str | None
    company: str | None  # None also where nobody entitled vouched for it
    enabled: bool
    selection: Selection
    max_in_flight: int
    ordered: bool
    target: Target | None = field(repr=False)
    name: str = ""
    rate_limit: float | None = None  # deliveries a second
    filter: Filter | None = None
    policies: GroupPolicies = field(default_factory=dict)

    @property
    def keeps_latest(self) -> bool:
        """Whether newer events of any group replace older ones that wait."""
        return any(policy.keep_latest for policy in self.policies.values())

    def usable_target(self, now: datetime) -> Target:
        """Return the target; a rotated secret signs along no longer than its grace period.

        Raises BrokenSeal where the integration's secrets do not open with this key ring.
        """
        if self.target is None:
            raise BrokenSeal(
                f"The secrets of integration {self.integration_id} do not open: put the key that "
                "sealed them back into HOOKLINE_ENCRYPTION_KEYS."
            )
        return self.target.at(now) if isinstance(self.target, WebhookTarget) else self.target


@dataclass(frozen=True, slots=True)
class Match:
    """Who gets an event; and the others that were considered, by reason.

    Where it is `conditional`, filters have not been asked yet: `passing` does that.
    """

    wanted: tuple[Subscription, ...]
    reasons: Mapping[str, Sequence[str]]
    skipped: str | None  # the reasons as JSON text
    conditional: bool = False

    @classmethod
    def of(cls, wanted: Sequence[Subscription], reasons: Mapping[str, Sequence[str]]) -> "Match":
        """Return a match whose filters, if there are any, have not been asked yet."""
        skipped = orjson.dumps(reasons).decode() if reasons else None
        conditional = any(each.filter is not None for each in wanted)
        return cls(tuple(wanted), reasons, skipped, conditional)

    def passing(self, event: Event) -> Generator[None, None, "Match"]:
        """Ask the filters, in steps of bounded work; what they refuse is noted as `filtered`."""
        document = event.document()
        if len(event.payload) > _LARGE:
            yield
        wanted: list[Subscription] = []
        refused: list[str] = []
        spent = 0
        for each in self.wanted:
            work = Work(document)
            if each.filter is None or each.filter.matches(document, work):
                wanted.append(each)
            else:
                refused.append(each.integration_id)
            spent += MOST_STEPS - work.left
            if spent > _STEPS_AT_ONCE:
                spent = 0
                yield
        if not refused:
            return Match(self.wanted, self.reasons, self.skipped)
        refused += self.reasons.get(SkipReason.FILTERED, ())
        reasons = {**self.reasons, SkipReason.FILTERED.value: refused}
        return Match(tuple(wanted), reasons, orjson.dumps(reasons).decode())


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
        """Let go of rotated secrets whose grace period is over; nothing of them stays in memory."""
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
                self._add(self._subscription(row))
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

    def _subscription(self, row: Integration) -> Subscription:
        """Understand a record. One that nobody understands must not cost the others theirs.

        Its copies are queued, whatever it chose, and fail as those whose seal is broken do: they
        are found, with a reason, and can be sent once the record is put right.
        """
        try:
            return self._understood(row)
        except Exception:  # noqa: BLE001 - whatever is wrong with it is wrong with this one alone
            _LOG.exception("integration.unreadable", integration=row.id)
            everything = {group.name: ALL for group in self._catalogue.groups}
            return Subscription(
                integration_id=row.id,
                pbx=row.pbx,
                company=row.company if row.company_vouched else None,
                enabled=row.enabled,
                selection=restore_selection(everything, self._catalogue),
                max_in_flight=row.max_in_flight,
                ordered=False,
                target=None,
            )

    def _understood(self, row: Integration) -> Subscription:
        target = self._open(row)
        return Subscription(
            integration_id=row.id,
            pbx=row.pbx,
            company=row.company if row.company_vouched else None,
            enabled=row.enabled,
            selection=restore_selection(row.events, self._catalogue),
            max_in_flight=row.max_in_flight,
            ordered=_is_ordered(row),
            target=target,
            name=row.name,
            rate_limit=row.rate_limit,
            filter=None if row.filter is None else parse_filter(json.loads(row.filter)),
            policies=restore_policies(row.delivery),
        )

    def _open(self, row: Integration) -> Target | None:
        try:
            return open_target(row, self._keyring, datetime.now(UTC))
        except BrokenSeal:
            _LOG.exception("integration.broken_seal", integration=row.id)
            return None


def _is_ordered(row: Integration) -> bool:
    chosen = ordering_chosen(row.ordering)
    return ordering_of(TransmissionType(row.type), row.url, chosen) is Ordering.SUBJECT
