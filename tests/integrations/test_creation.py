import pytest

from factories import a_principal
from hookline.domain.access import Role
from hookline.errors import Forbidden, InvalidInput
from hookline.integrations.creation import Tenancy, pbx_of, settle_tenancy

ADMIN = a_principal()
OF_PBX = a_principal(Role.MANAGER, pbx="P")
OF_COMPANY = a_principal(Role.MANAGER, company="C")


@pytest.mark.parametrize(
    ("principal", "pbx", "company", "recorded", "settled"),
    [
        (ADMIN, "P", None, None, Tenancy("P", None, vouched=False)),
        (ADMIN, "P", "C", None, Tenancy("P", "C", vouched=True)),
        (ADMIN, "P", None, "C", Tenancy("P", "C", vouched=True)),
        (ADMIN, None, "C", None, Tenancy(None, "C", vouched=True)),
        (OF_PBX, None, None, None, Tenancy("P", None, vouched=False)),
        (OF_PBX, "P", "C", None, Tenancy("P", "C", vouched=False)),
        (OF_PBX, "P", "C", "C", Tenancy("P", "C", vouched=True)),
        (OF_PBX, None, None, "C", Tenancy("P", "C", vouched=True)),
        (OF_COMPANY, None, None, None, Tenancy(None, "C", vouched=True)),
        (OF_COMPANY, "P", "C", "C", Tenancy("P", "C", vouched=True)),
    ],
)
def test_whose_it_is(
    principal: object, pbx: str | None, company: str | None, recorded: str | None, settled: Tenancy
) -> None:
    assert isinstance(principal, type(ADMIN))
    assert settle_tenancy(principal, pbx_of(principal, pbx), company, recorded) == settled


def test_a_key_of_a_pbx_names_no_other() -> None:
    with pytest.raises(Forbidden, match="P only"):
        pbx_of(OF_PBX, "Q")


@pytest.mark.parametrize("recorded", [None, "D"])
def test_a_key_of_a_company_names_only_pbxs_on_record(recorded: str | None) -> None:
    with pytest.raises(Forbidden, match="PUT /v1/pbxs/Q"):
        settle_tenancy(OF_COMPANY, "Q", None, recorded)


def test_a_company_against_the_record_is_refused_without_telling_whose_it_is() -> None:
    with pytest.raises(InvalidInput) as refused:
        settle_tenancy(OF_PBX, "P", "C", "SECRET")
    assert "SECRET" not in str(refused.value)
