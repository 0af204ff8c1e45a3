"""What a tenant holds never keeps another from its share: by rule, and for any course of events."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hookline.dispatch.tenant_shares import TenantQuota
from hookline.domain.access import Tenant

MOST, SHARE = 100, 0.2
COMPANY = Tenant("it_1", None)
ONE, OTHER = Tenant("it_1", "1"), Tenant("it_1", "2")
ALONE, UNRELATED = Tenant(None, "3"), Tenant("it_2", "4")

tenants = st.sampled_from(
    [COMPANY, ONE, OTHER, ALONE, UNRELATED, *(Tenant(None, f"{n}") for n in range(9))]
)


def holding(**amounts: int) -> TenantQuota:
    quota = TenantQuota(MOST, share=SHARE)
    names = {"one": ONE, "other": OTHER, "alone": ALONE, "unrelated": UNRELATED, "company": COMPANY}
    for name, amount in amounts.items():
        quota.add(names[name], amount)
    return quota


def test_a_pbx_of_a_company_leaves_half_of_the_companys_share_to_the_others() -> None:
    quota = holding(one=10, unrelated=1)
    assert quota.exceeded_by(ONE)
    assert not quota.exceeded_by(OTHER)


def test_a_company_has_one_share_with_all_its_pbxs() -> None:
    quota = holding(one=10, other=10, unrelated=1)
    assert quota.exceeded_by(COMPANY)
    assert quota.exceeded_by(Tenant("it_1", "a third"))
    assert not quota.exceeded_by(ALONE)


def test_who_is_alone_may_hold_everything_and_leaves_others_their_share() -> None:
    quota = holding(one=99)
    assert not quota.exceeded_by(ONE)
    quota.add(ONE, 1)
    assert quota.exceeded_by(ONE)
    assert not quota.full
    assert not any(map(quota.exceeded_by, (OTHER, ALONE, UNRELATED)))


@given(st.lists(st.tuples(tenants, st.integers(-30, 30))))
def test_whatever_the_others_do_who_holds_less_than_a_share_may_go_on(
    steps: list[tuple[Tenant, int]],
) -> None:
    quota = TenantQuota(MOST, share=SHARE)
    held: Counter[Tenant] = Counter()
    for tenant, amount in steps:
        if amount > 0 and (quota.full or quota.exceeded_by(tenant)):
            continue
        quota.add(tenant, amount)
        held[tenant] = max(0, held[tenant] + amount)
    assert quota.total == held.total()
    assert quota.total < 2 * MOST + 30
    groups: Counter[Tenant] = Counter()
    for tenant, amount in held.items():
        share = MOST * SHARE if tenant.company is None else MOST * SHARE / 2
        groups[tenant if tenant.company is None else Tenant(tenant.company, None)] += min(
            amount, int(share)
        )
        crowd = held.total() > amount
        assert quota.exceeded_by(tenant) or amount < share or not crowd
    in_use = sum(min(within, MOST * SHARE) for within in groups.values())
    assert quota.full == (in_use >= MOST)
    for newcomer in (Tenant(None, "new"), Tenant("it_new", "new"), Tenant("it_new", None)):
        assert not quota.exceeded_by(newcomer)
