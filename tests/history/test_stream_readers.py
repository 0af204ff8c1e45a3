"""How the places for streams are shared, who may see what, and what each reader is given."""

import pytest

from factories import a_principal
from hookline.db import connections
from hookline.domain.access import Principal, Role
from hookline.domain.ids import new_uuid
from hookline.errors import Overloaded
from hookline.history.repository import History
from hookline.history.settled import Ended
from hookline.history.stream_readers import Owner, Reader, Readers, StreamEnd, WantedStream
from hookline.history.streams import Streams


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


def sent_to(reader: Reader) -> bytes:
    return b"".join(reader._frames)


def test_readers_of_one_audience_share_what_all_have_yet_to_see_and_get_the_rest_alone() -> None:
    streams = some_streams()
    early, late, not_yet = (streams.open(a_principal(), WantedStream(), None) for _ in range(3))
    other = streams.open(a_principal(), WantedStream(type="call:end"), None)
    early.follow_from(0, frozenset())
    late.follow_from(5, frozenset({3}))
    other.follow_from(0, frozenset())
    sent = [(Ended(entry, 0, "a", new_uuid()), b"%d" % entry) for entry in (3, 4, 6, 7)]
    given = streams._push({early.audience: sent, other.audience: sent[:1]})
    assert set(given) == {early, late, other}
    assert (sent_to(early), sent_to(late), sent_to(other)) == (b"3467", b"367", b"3")
    assert sent_to(not_yet) == b""
    assert streams.sent == 8


def test_a_reader_that_is_too_slow_costs_the_others_of_its_audience_nothing() -> None:
    streams = some_streams()
    slow, quick = (streams.open(a_principal(), WantedStream(), None) for _ in range(2))
    for reader in (slow, quick):
        reader.follow_from(0, frozenset())
    slow.push(b"x" * 2_000_000, 0)
    given = streams._push({slow.audience: [(Ended(1, 0, "a", new_uuid()), b"one")]})
    assert (slow.end, quick.end) == (StreamEnd.SLOW, None)
    assert (sent_to(slow), sent_to(quick)) == (b"", b"one")
    assert quick in given
    assert streams.open_now == 1


def some_streams() -> Streams:
    """Return streams that read no log."""
    engine = connections.engine("postgresql://127.0.0.1:1/none")
    return Streams(
        engine, History(engine), NoKeys(), most=8, frame=lambda _delivery, _position: b""
    )


class NoKeys:
    """Keys that never change."""

    async def reload_if(self, revision: int) -> None:
        """Know of nothing new."""

    def still_valid(self, _principal: Principal) -> bool:
        return True
