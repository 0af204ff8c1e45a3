"""How the places for streams are shared among keys and tenants, and who may see what."""

import pytest

from factories import a_principal
from hookline.domain.access import Principal, Role
from hookline.errors import Overloaded
from hookline.history.stream_readers import Owner, Reader, Readers, WantedStream


def a_reader(principal: Principal) -> Reader:
    return Reader(principal, WantedStream(), None)


def seeing(readers: Readers, owner: Owner) -> set[Reader]:
    return {each for audience in readers.that_may_see(owner) for each in readers.of(audience)}


@pytest.mark.parametrize(
    ("tenant", "named"), [({"pbx": "7"}, "PBX 7"), ({"company": "it_7"}, "Company it_7")]
)
def test_a_tenant_has_half_of_the_places_whichever_keys_it_uses(
    tenant: dict[str, str], named: str
) -> None:
    readers = Readers(4)
    first, second = [a_reader(a_principal(Role.MANAGER, **tenant)) for _ in range(2)]
    for reader in (first, second):
        readers.add(reader)
    with pytest.raises(Overloaded, match=f"{named} has 2 streams open, the most that it may"):
        readers.add(a_reader(a_principal(Role.MANAGER, **tenant)))
    readers.add(a_reader(a_principal(Role.MANAGER, pbx="8")))
    assert readers.remove(first)
    readers.add(a_reader(a_principal(Role.MANAGER, **tenant)))


def test_a_key_has_half_of_the_places_and_all_keys_no_more_than_there_are() -> None:
    readers, admin = Readers(4), a_principal()
    for _ in range(2):
        readers.add(a_reader(admin))
    with pytest.raises(Overloaded, match="This key has 2 streams open"):
        readers.add(a_reader(admin))
    for _ in range(2):
        readers.add(a_reader(a_principal()))
    with pytest.raises(Overloaded, match="This process has 4 streams open"):
        readers.add(a_reader(a_principal()))


def test_who_may_see_an_integration_follows_who_comes_and_leaves() -> None:
    readers, seven, eight = Readers(8), Owner("a", "7", "it_7"), Owner("b", "8", None)
    first, second = a_reader(a_principal()), a_reader(a_principal(Role.MANAGER, company="it_7"))
    assert seeing(readers, seven) == set()
    readers.add(first)
    assert seeing(readers, seven) == {first}
    readers.add(second)
    assert seeing(readers, seven) == {first, second}
    assert seeing(readers, eight) == {first}
    readers.add(another := a_reader(a_principal()))
    assert seeing(readers, eight) == {first, another}
    assert readers.remove(first)
    assert seeing(readers, seven) == {second, another}
    assert readers.remove(another)
    assert seeing(readers, seven) == {second}
    assert seeing(readers, eight) == set()


def test_readers_of_one_scope_are_one_audience_whichever_keys_they_have() -> None:
    readers, seven = Readers(12), Owner("a", "7", "it_7")
    for principal in (a_principal(Role.MANAGER, pbx="7"), a_principal(Role.MANAGER, pbx="7")):
        for wanted in (WantedStream(), WantedStream(type="call:end")):
            readers.add(Reader(principal, wanted, None))
    readers.add(a_reader(a_principal(Role.INGEST, pbx="7")))
    first, second = readers.that_may_see(seven)
    assert {len(readers.of(each)) for each in (first, second)} == {2}
    assert {each.wants("call:start") for each in (first, second)} == {True, False}


def test_readers_of_very_many_integrations_are_not_all_remembered() -> None:
    readers, reader = Readers(8), a_reader(a_principal())
    readers.add(reader)
    for number in range(200):
        assert seeing(readers, Owner(str(number), "7", None)) == {reader}
    assert len(readers._seeing) <= 64
