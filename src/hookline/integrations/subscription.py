"""What matching and delivery know of an integration, and who of them gets an event."""

import asyncio
import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import thread_time

import orjson

from hookline.db.models import Integration
from hookline.domain.catalogue import Catalogue
from hookline.domain.deliveries import SkipReason
from hookline.domain.events import Event
from hookline.domain.filter_matchers import MOST_STEPS, Work
from hookline.domain.filters import Filter, FilterIndex, parse_filter
from hookline.domain.retries import GroupPolicies, restore_policies
from hookline.domain.selection import ALL, Selection, restore_selection
from hookline.domain.stored import ordering_chosen
from hookline.domain.targets import (
    Ordering,
    Target,
    TransmissionType,
    WebhookTarget,
    ordering_of,
)
from hookline.errors import DecryptionFailed
from hookline.integrations.encryption import open_target
from hookline.logs import get_logger
from hookline.security.secrets import KeyRing

_LARGE = 64 * 1024  # bytes of an event that takes as long to parse as others may wait
_STEPS_AT_ONCE = 5 * MOST_STEPS  # of filters; a few milliseconds
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What matching and delivery know of an integration. No `target`: it cannot be decrypted."""

    integration_id: str
    pbx: str | None
    company: str | None  # None also where nobody entitled vouched for it
    enabled: bool
    selection: Selection
    max_in_flight: int | None  # None: adapts to the target
    ordered: bool
    target: Target | None = field(repr=False)
    name: str = ""
    rate_limit: float | None = None  # deliveries a second
    filter: Filter | None = None
    policies: GroupPolicies = field(default_factory=dict)
    omit: tuple[str, ...] | None = None  # paths that its copies leave out

    @property
    def keeps_latest(self) -> bool:
        """Whether newer events of any group replace older ones that wait."""
        return any(policy.keep_latest for policy in self.policies.values())

    def usable_target(self, now: datetime) -> Target:
        """Return the target; a rotated secret signs along no longer than its grace period.

        Raises DecryptionFailed where no key of this ring decrypts the integration's secrets.
        """
        if self.target is None:
            raise DecryptionFailed(
                f"The secrets of integration {self.integration_id} cannot be decrypted: put the"
                " key that encrypted them back into HOOKLINE_ENCRYPTION_KEYS."
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
    copies: int = 0  # that leave something out, each list of paths counted once
    index: FilterIndex | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, wanted: Sequence[Subscription], reasons: Mapping[str, Sequence[str]]) -> "Match":
        """Return a match whose filters, if there are any, have not been asked yet."""
        skipped = orjson.dumps(reasons).decode() if reasons else None
        filters = [each.filter for each in wanted]
        index = FilterIndex(filters) if any(filters) else None
        return cls(tuple(wanted), reasons, skipped, index is not None, _copies(wanted), index)

    def passing(self, event: Event) -> Generator[None, None, "Match"]:
        """Ask the filters, in steps of bounded work; what they refuse is noted as `filtered`."""
        document = event.document()
        if len(event.payload) > _LARGE:
            yield
        wanted: list[Subscription] = []
        refused: list[str] = []
        spent = 0
        possible = self.index.possible(document) if self.index is not None else None
        for place, each in enumerate(self.wanted):
            if possible is not None and place not in possible:
                refused.append(each.integration_id)
                continue
            if each.filter is None:
                wanted.append(each)
                continue
            work = Work(document)
            if each.filter.matches(document, work):
                wanted.append(each)
            else:
                refused.append(each.integration_id)
            spent += MOST_STEPS - work.left
            if spent > _STEPS_AT_ONCE:
                spent = 0
                yield
        if not refused:
            return replace(self, conditional=False, index=None)
        refused += self.reasons.get(SkipReason.FILTERED, ())
        reasons = {**self.reasons, SkipReason.FILTERED.value: refused}
        skipped = orjson.dumps(reasons).decode()
        copies = self.copies and _copies(wanted)
        return Match(tuple(wanted), reasons, skipped, copies=copies)


def _copies(wanted: Iterable[Subscription]) -> int:
    return len({each.omit for each in wanted if each.omit})


def subscription_of(row: Integration, catalogue: Catalogue, keyring: KeyRing) -> Subscription:
    """Understand a record. One that nobody understands must not cost the others theirs.

    Its copies are queued, whatever it chose, and fail as undecryptable ones do: they
    are found, with a reason, and can be sent once the record is put right.
    """
    try:
        return _understood(row, catalogue, keyring)
    except Exception:  # noqa: BLE001 - whatever is wrong with it is wrong with this one alone
        _LOG.exception("integration.unreadable", integration=row.id)
        everything = {group.name: ALL for group in catalogue.groups}
        return Subscription(
            integration_id=row.id,
            pbx=row.pbx,
            company=row.company if row.company_vouched else None,
            enabled=row.enabled,
            selection=restore_selection(everything, catalogue),
            max_in_flight=row.max_in_flight,
            ordered=False,
            target=None,
        )


def _understood(row: Integration, catalogue: Catalogue, keyring: KeyRing) -> Subscription:
    target = _open(row, keyring)
    return Subscription(
        integration_id=row.id,
        pbx=row.pbx,
        company=row.company if row.company_vouched else None,
        enabled=row.enabled,
        selection=restore_selection(row.events, catalogue),
        max_in_flight=row.max_in_flight,
        ordered=_is_ordered(row),
        target=target,
        name=row.name,
        rate_limit=row.rate_limit,
        filter=None if row.filter is None else parse_filter(json.loads(row.filter)),
        policies=restore_policies(row.delivery),
        omit=tuple(row.omit) or None,
    )


def _open(row: Integration, keyring: KeyRing) -> Target | None:
    try:
        return open_target(row, keyring, datetime.now(UTC))
    except DecryptionFailed:
        _LOG.exception("integration.decryption_failed", integration=row.id)
        return None


def _is_ordered(row: Integration) -> bool:
    chosen = ordering_chosen(row.ordering)
    return ordering_of(TransmissionType(row.type), row.url, chosen) is Ordering.SUBJECT


async def pass_filters(
    match: Match, event: Event, charge: Callable[[float], object] | None
) -> Match:
    """Return the match once filters were asked; `charge` is told the CPU seconds of each step."""
    steps = match.passing(event)
    while True:
        started = thread_time()
        try:
            next(steps)
        except StopIteration as end:
            passing: Match = end.value
            return passing
        finally:
            if charge is not None:
                charge(thread_time() - started)
        await asyncio.sleep(0)  # others have their turn
