"""Divides a bounded amount among tenants, so that none takes what the others need."""

from dataclasses import dataclass

from hookline.domain.access import Tenant

_PART_OF_COMPANY = 0.5  # that one PBX of a company may hold: the others of it are served as well


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
