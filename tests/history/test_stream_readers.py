"""How the places for streams are shared among keys and tenants, and who may see what."""

import pytest

from factories import a_principal
from hookline.domain.access import Principal, Role
from hookline.errors import Overloaded
from hookline.history.stream_readers import Owner, Reader, Readers, WantedStream


def a_reader(principal: Principal) -> Reader:
    return Reader(principal, WantedStream(), None)


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
    assert list(readers.that_may_see(seven)) == []
    readers.add(first)
    assert list(readers.that_may_see(seven)) == [first]
    readers.add(second)
    assert set(readers.that_may_see(seven)) == {first, second}
    assert list(readers.that_may_see(eight)) == [first]
    assert readers.remove(first)
    assert list(readers.that_may_see(seven)) == [second]


def test_readers_of_very_many_integrations_are_not_all_remembered() -> None:
    readers, reader = Readers(8), a_reader(a_principal())
    readers.add(reader)
    for number in range(200):
        assert list(readers.that_may_see(Owner(str(number), "7", None))) == [reader]
    assert len(readers._seeing) <= 64
