"""Divides bounded amounts among tenants, so that none takes what the others need.

Places of slow lanes are divided by dynamic thresholds (`Places`), where each tenant may hold a
multiple of what is free: whoever came first never holds all of it, some is free for whoever comes
next, and nobody needs to know how many tenants there are. See Choudhury and Hahne, "Dynamic queue
length thresholds for shared-memory packet switches", 1998. The backlog is divided by fixed shares
(`TenantQuota`), of which only those in use count.
"""

from dataclasses import dataclass
from weakref import WeakValueDictionary

from hookline.domain.access import Tenant

_MULTIPLE = 3  # of what is free: who is alone leaves a quarter, k tenants leave 1 / (3k + 1)
_PART_OF_COMPANY = 0.5  # that one PBX of a company may hold: the others of it are served as well


class Share:
    """What one tenant holds of what its company, or everybody, may still take."""

    __slots__ = ("__weakref__", "_whole", "held")

    def __init__(self, whole: "Share | Places") -> None:
        self._whole = whole
        self.held = 0

    @property
    def room(self) -> int:
        """How many more it may take: one at least while any is free and it holds none."""
        free = self._whole.room
        if free <= 0:
            return 0
        if not self.held:
            return max(1, _MULTIPLE * free // (1 + _MULTIPLE))
        return max(0, (_MULTIPLE * free - self.held) // (1 + _MULTIPLE))

    def add(self, places: int) -> None:
        """Note that it holds so many more; fewer, where that is negative."""
        self.held += places
        self._whole.add(places)


class Places:
    """All places, and each tenant's share of them while anybody uses it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._shares: WeakValueDictionary[Tenant, Share] = WeakValueDictionary()
        self.held = 0

    @property
    def room(self) -> int:
        """How many are free."""
        return self._most - self.held

    def add(self, places: int) -> None:
        """Note that so many more are held; fewer, where that is negative."""
        self.held += places

    def share_of(self, tenant: Tenant) -> Share:
        """Return the share of a company or PBX; that of a company's PBX is a part of its own."""
        share = self._shares.get(tenant)
        if share is None:
            of_pbx = tenant.company is not None and tenant.pbx is not None
            whole = self.share_of(Tenant(tenant.company, None)) if of_pbx else self
            share = self._shares[tenant] = Share(whole)
        return share


@dataclass(slots=True)
class _Group:
    """What a company holds, its PBXs included, or a PBX that is on record as nobody's."""

    total: int = 0
    within: int = 0  # of `total`, without what its PBXs hold beyond their own shares


class TenantQuota:
    """Who holds how much of `most`, and who may hold no more.

    While others hold anything, a company or a PBX may hold `share` (a fraction) of `most`, and each
    PBX of a company half of that. Whoever is alone may hold all of it. What is held beyond a share
    counts against its holder only, so that the others still get theirs; all together then hold less
    than twice `most`.
    """

    def __init__(self, most: int, *, share: float) -> None:
        self.most = most
        self.total = 0
        self._share = most * share
        self._held: dict[Tenant, int] = {}
        self._groups: dict[Tenant, _Group] = {}
        self._within = 0.0  # what all groups hold, each no more than its share

    @property
    def full(self) -> bool:
        """Whether nobody may hold more: the shares in use come to all there is."""
        return self._within >= self.most

    def exceeded_by(self, tenant: Tenant) -> bool:
        """Whether a tenant holds as much as it may."""
        held = self._held.get(tenant, 0)
        if held >= self._share_of(tenant) and (self.total > held or self.total >= self.most):
            return True
        group = self._groups.get(_group_of(tenant))
        return group is not None and group.within >= self._share and self.total > group.total

    def add(self, tenant: Tenant, amount: int) -> None:
        """Note that a tenant holds so much more; less, where the amount is negative."""
        if not amount:
            return
        before = self._held.pop(tenant, 0)
        after = max(0, before + amount)
        if after:
            self._held[tenant] = after
        owner = _group_of(tenant)
        group = self._groups.get(owner)
        if group is None:
            group = self._groups[owner] = _Group()
        share = int(self._share_of(tenant))
        within = group.within
        group.within += min(share, after) - min(share, before)
        self._within += min(group.within, self._share) - min(within, self._share)
        group.total += after - before
        self.total += after - before
        if not group.total:
            del self._groups[owner]

    def _share_of(self, tenant: Tenant) -> float:
        return self._share if tenant.company is None else self._share * _PART_OF_COMPANY


def _group_of(tenant: Tenant) -> Tenant:
    return tenant if tenant.company is None else Tenant(tenant.company, None)
