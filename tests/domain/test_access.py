from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.domain.access import Principal, Role, hash_key, is_key, new_key
from hookline.domain.ids import new_uuid
from hookline.errors import InvalidInput

PBX, OTHER_PBX = "000000000001", "000000000002"
COMPANY, OTHER_COMPANY = "it_w000001", "it_w000002"


def principal(role: Role, *, pbx: str | None = None, company: str | None = None) -> Principal:
    return Principal(new_uuid(), role, "a key", pbx=pbx, company=company)


def test_an_admin_sees_and_sends_everything() -> None:
    admin = principal(Role.ADMIN)
    assert admin.is_admin
    assert admin.manages
    assert admin.sends
    assert admin.sees(PBX, COMPANY)
    assert admin.sees(None, OTHER_COMPANY)
    assert admin.may_send(None, COMPANY)


def test_a_manager_of_a_pbx_sees_that_pbx_alone() -> None:
    manager = principal(Role.MANAGER, pbx=PBX)
    assert manager.sees(PBX, COMPANY)
    assert not manager.sees(OTHER_PBX, COMPANY)
    assert not manager.sees(None, COMPANY)
    assert not manager.is_admin


def test_a_manager_of_a_company_sees_its_objects_with_and_without_a_pbx() -> None:
    manager = principal(Role.MANAGER, company=COMPANY)
    assert manager.sees(PBX, COMPANY)
    assert manager.sees(None, COMPANY)
    assert not manager.sees(PBX, OTHER_COMPANY)
    assert not manager.sees(PBX, None)


def test_a_manager_sends_nothing() -> None:
    assert not principal(Role.MANAGER, pbx=PBX).may_send(PBX, COMPANY)


@pytest.mark.parametrize("scope", [{}, {"pbx": PBX}, {"company": COMPANY}])
def test_an_ingest_key_sees_nothing(scope: dict[str, str]) -> None:
    ingest = principal(Role.INGEST, **scope)
    assert not ingest.manages
    assert not ingest.sees(PBX, COMPANY)


def test_an_ingest_key_of_a_pbx_sends_its_events_and_those_that_name_none() -> None:
    ingest = principal(Role.INGEST, pbx=PBX)
    assert ingest.may_send(PBX, COMPANY)
    assert ingest.may_send(None, COMPANY)
    assert not ingest.may_send(OTHER_PBX, COMPANY)


def test_an_ingest_key_of_a_company_sends_that_companys_events() -> None:
    ingest = principal(Role.INGEST, company=COMPANY)
    assert ingest.may_send(PBX, COMPANY)
    assert ingest.may_send(None, COMPANY)
    assert not ingest.may_send(PBX, OTHER_COMPANY)


def test_an_unbound_ingest_key_sends_for_all() -> None:
    assert principal(Role.INGEST).may_send(OTHER_PBX, OTHER_COMPANY)


@pytest.mark.parametrize(
    ("role", "pbx", "company", "field"),
    [
        (Role.ADMIN, PBX, None, "role"),
        (Role.ADMIN, None, COMPANY, "role"),
        (Role.MANAGER, None, None, "role"),
        (Role.MANAGER, PBX, COMPANY, "company"),
        (Role.INGEST, PBX, COMPANY, "company"),
    ],
)
def test_a_scope_that_does_not_fit_the_role_is_refused(
    role: Role, pbx: str | None, company: str | None, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        principal(role, pbx=pbx, company=company)
    assert [problem.path for problem in caught.value.fields] == [field]


def test_a_new_key_is_recognised_and_long_enough() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(is_key(key) for key in keys)
    assert {len(key) for key in keys} == {46}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hk_",
        "hk_short",
        "x" * 46,
        "sk_" + "a" * 43,
        "hk_" + "a" * 31,
        "hk_" + "a" * 129,
        "hk_" + "a" * 42 + " ",
        "hk_" + "a" * 43 + "\n",
        "hk_" + "é" * 43,
    ],
)
def test_what_is_no_key_is_not_looked_up(text: str) -> None:
    assert not is_key(text)


def test_a_hash_is_the_sha_256_of_the_key() -> None:
    key = new_key()
    assert hash_key(key) == sha256(key.encode()).digest()


def test_two_keys_have_two_hashes() -> None:
    assert hash_key(new_key()) != hash_key(new_key())


@given(st.text(st.characters(codec=None)))
def test_any_text_can_be_hashed(text: str) -> None:
    assert len(hash_key(text)) == 32
