"""Backpressure: refuses events before the backlog, or this process's memory, is full."""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Self

import msgspec

from hookline.dispatch.tenant_shares import TenantQuota
from hookline.domain.access import Tenant
from hookline.domain.events import Event
from hookline.errors import Overloaded
from hookline.integrations.subscription import Match
from hookline.logs import get_logger

_RETRY_AFTER = 5.0  # seconds: a backlog of that size shrinks no faster
_SOON = 1.0  # seconds: what this process has in hand is written by then, or the database is slow
_SHARE_IN_HAND = 0.25  # of the bytes in hand: room for a full batch of each of several tenants
_FRESH = 0.25  # seconds for which a count is new enough to refuse somebody by it
_COUNTING_SHARE = 20  # counting takes a twentieth of the time at most, however often it is wanted
_LOG = get_logger(__name__)


class Demand(msgspec.Struct):
    """What the events of one tenant in one request come to."""

    deliveries: int = 0
    size: int = 0  # bytes


Refusals = Mapping[Tenant, Overloaded]


class Backpressure:
    """How much may wait: deliveries in all, and bytes of events that this process has in hand.

    Of both, each tenant has a share. `count` asks the store about how many deliveries are pending,
    by tenant. Between two answers, what this process stored itself is added: what is stored just
    while the store counts may be added twice, or not at all, until the next answer.
    """

    def __init__(
        self,
        count: Callable[[], Awaitable[Mapping[Tenant, int]]],
        *,
        most_pending: int,
        most_bytes: int,
        share: float,
    ) -> None:
        self._count = count
        self._share = share
        self._pending = TenantQuota(most_pending, share=share)
        self._bytes = TenantQuota(most_bytes, share=_SHARE_IN_HAND)
        self._storing = defaultdict[Tenant, int](int)  # deliveries of the events in hand
        self._counting = asyncio.Lock()
        self._counted_at = -sys.float_info.max
        self._fresh = _FRESH

    @classmethod
    def none(cls) -> Self:
        """Return bounds that hold nobody up."""

        async def nothing() -> Mapping[Tenant, int]:
            return {}

        return cls(nothing, most_pending=sys.maxsize, most_bytes=sys.maxsize, share=1.0)

    @property
    def pending(self) -> int:
        """About how many deliveries wait in all, as far as this process knows."""
        return self._pending.total

    @property
    def most_pending(self) -> int:
        """How many may wait in all."""
        return self._pending.most

    async def acquire(self, demands: Mapping[Tenant, Demand]) -> Refusals:
        """Take one request's events in hand, to be followed by `release`; or refuse tenants.

        Where any tenant is refused, nothing is taken. Raises Overloaded where all are, for what
        waits in all, and Unavailable.
        """
        refused = self._refused(demands)
        if refused or self._pending.full:
            await self._count_again()
            refused = self._refused(demands)
        if self._pending.full:
            raise Overloaded(
                "Too many deliveries are waiting; send this again later.", retry_after=_RETRY_AFTER
            )
        if self._bytes.full:
            raise Overloaded(
                "More events come in than can be stored; send this again.", retry_after=_SOON
            )
        if not refused:
            for tenant, demand in demands.items():
                self._pending.add(tenant, demand.deliveries)
                self._bytes.add(tenant, demand.size)
                self._storing[tenant] += demand.deliveries
        return refused

    def release(self, demands: Mapping[Tenant, Demand], made: Mapping[Tenant, int]) -> None:
        """Release a request's events: stored now, with so many deliveries, or not taken."""
        for tenant, demand in demands.items():
            self._pending.add(tenant, made.get(tenant, 0) - demand.deliveries)
            self._bytes.add(tenant, -demand.size)
            self._storing[tenant] -= demand.deliveries
            if not self._storing[tenant]:
                del self._storing[tenant]

    async def count(self) -> None:
        """Count what is pending, in the store. Raises Unavailable."""
        began = time.monotonic()
        counted = await self._count()
        before, self._pending = self._pending, TenantQuota(self.most_pending, share=self._share)
        for held in (counted, self._storing):
            for tenant, deliveries in held.items():
                self._pending.add(tenant, deliveries)
        self._counted_at = time.monotonic()
        self._fresh = max(_FRESH, _COUNTING_SHARE * (self._counted_at - began))
        if before.full != self._pending.full:
            _LOG.warning("backpressure.changed", pending=self.pending, full=self._pending.full)

    @property
    def counting_pause(self) -> float:
        """For how many seconds a count stands: counting takes a small part of the time."""
        return self._fresh

    async def _count_again(self) -> None:
        """Refuse nobody by an old count: much may have been delivered since."""
        async with self._counting:
            if time.monotonic() - self._counted_at >= self._fresh:
                await self.count()

    def _refused(self, demands: Mapping[Tenant, Demand]) -> Refusals:
        return {each: why for each in demands if (why := self._refusal(each)) is not None}

    def _refusal(self, tenant: Tenant) -> Overloaded | None:
        if self._pending.exceeded_by(tenant):
            return Overloaded(
                f"The {tenant} has as many deliveries waiting as one PBX or company may have; its"
                " events are refused until there are fewer. Send this again later.",
                retry_after=_RETRY_AFTER,
            )
        if self._bytes.exceeded_by(tenant):
            return Overloaded(
                f"More events of the {tenant} come in than can be stored; send this again.",
                retry_after=_SOON,
            )
        return None


def demands_of(
    events: Sequence[Event], matches: Sequence[Match], tenants: Sequence[Tenant]
) -> dict[Tenant, Demand]:
    """Foresee what events come to, by tenant."""
    demands: dict[Tenant, Demand] = {}
    for event, match, tenant in zip(events, matches, tenants, strict=True):
        demand = demands.get(tenant)
        if demand is None:
            demand = demands[tenant] = Demand()
        demand.deliveries += len(match.wanted)
        demand.size += len(event.payload)
    return demands
