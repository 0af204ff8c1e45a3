"""Divides places among tenants by dynamic thresholds: each may hold a multiple of what is free.

So whoever came first never holds all of it, some is free for whoever comes next, and nobody needs
to know how many tenants there are. See Choudhury and Hahne, "Dynamic queue length thresholds for
shared-memory packet switches", 1998.
"""

from weakref import WeakValueDictionary

from hookline.domain.access import Tenant

_MULTIPLE = 3  # of what is free: who is alone leaves a quarter, k tenants leave 1 / (3k + 1)


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
