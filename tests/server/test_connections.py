"""Which connection ends for a new one: clients without a key first, then idle ones."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_network
from itertools import count

import pytest

from hookline.server.connections import ConnectionLimits, Connections


class Client:
    """A connection from somewhere, without a socket."""

    def __init__(
        self, host: str = "192.0.2.1", *, busy: bool = False, idle_since: float = 0
    ) -> None:
        self.client = (host, 1)
        self.busy, self.idle_since = busy, idle_since
        self.tenant: str | None = None
        self.ended = self.lingers = False
        self.dropped = asyncio.Event()

    def drop_more(self) -> None:
        self.dropped.set()

    def abort(self) -> None:
        self.ended = True


NUMBERS = count()
Admit = Callable[..., Client]


def admitting(most: int = 16, most_unknown: int = 16, proxies: tuple[str, ...] = ()) -> Admit:
    limits = ConnectionLimits(most, most_unknown, proxies=[ip_network(each) for each in proxies])
    connections = Connections(limits)

    def admit(client: Client, tenant: str | None = None) -> Client:
        connections.admit(client)  # type: ignore[arg-type]  # all that it looks at
        if tenant is not None and not client.ended:
            connections.authenticated(client, tenant)  # type: ignore[arg-type]  # the same
        return client

    return admit


def a_tenant() -> str:
    return f"PBX {next(NUMBERS)}"


def test_connections_without_a_key_end_before_one_with_a_key_and_the_oldest_first() -> None:
    admit = admitting()
    known = admit(Client(), a_tenant())
    unauthenticated = [admit(Client()) for _ in range(40)]
    assert not known.ended
    assert [each.ended for each in unauthenticated] == [True] * 25 + [False] * 15


def test_a_client_with_a_key_gets_in_among_many_without_one() -> None:
    admit = admitting()
    for _ in range(100):
        admit(Client(busy=True))
    latecomer = admit(Client(), a_tenant())
    for _ in range(100):
        admit(Client(busy=True))
    assert not latecomer.ended


def test_the_longest_idle_connection_of_the_tenant_with_the_most_goes_for_a_new_one() -> None:
    admit = admitting()
    small, large = a_tenant(), a_tenant()
    few = [admit(Client(idle_since=at), small) for at in range(4)]
    many = [admit(Client(idle_since=20 - at), large) for at in range(12)]
    assert not admit(Client(), small).ended
    assert [each for each in (*few, *many) if each.ended] == [many[-1]]


def test_a_tenant_that_keeps_more_than_half_of_all_busy_loses_its_oldest() -> None:
    admit = admitting()
    greedy = a_tenant()
    held = [admit(Client(busy=True), greedy) for _ in range(16)]
    assert not admit(Client(), a_tenant()).ended
    assert [each.ended for each in held] == [True] + [False] * 15


def test_new_connections_end_after_those_of_a_tenant_above_its_half() -> None:
    admit = admitting()
    greedy = a_tenant()
    held = [admit(Client(busy=True, idle_since=at), greedy) for at in range(16)]
    fresh = [admit(Client(idle_since=20)) for _ in range(4)]
    assert not any(each.ended for each in fresh)
    assert [each.ended for each in held] == [True] * 4 + [False] * 12
    later = admit(Client(idle_since=22))
    assert [each.ended for each in (*fresh, later)] == [True] + [False] * 4


def test_a_new_connection_is_refused_where_all_others_are_at_work() -> None:
    admit = admitting()
    busy = [admit(Client(busy=True), a_tenant()) for _ in range(16)]
    assert admit(Client()).ended
    assert not any(each.ended for each in busy)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::{}", "::ffff:192.0.2.1"])
def test_a_network_has_so_many_connections_without_a_key(host: str) -> None:
    admit = admitting(most_unknown=3)
    clients = [admit(Client(host.format(at))) for at in range(5)]
    other, known = (
        admit(Client("198.51.100.7")),
        [admit(Client(host), a_tenant()) for _ in range(3)],
    )
    assert [each.ended for each in clients[:2]] == [True, True]
    assert not any(each.ended for each in (other, *known))


def test_a_trusted_proxy_has_as_many_as_it_needs() -> None:
    admit = admitting(most_unknown=3, proxies=("192.0.2.0/24",))
    assert not any(admit(Client()).ended for _ in range(16))


async def test_places_of_connections_that_ended_are_free_again() -> None:
    connections = Connections(ConnectionLimits(2))
    for _ in range(20):
        client = Client()
        connections.admit(client)  # type: ignore[arg-type]  # all that it looks at
        connections.authenticated(client, a_tenant())  # type: ignore[arg-type]  # the same
        connections.left(client)  # type: ignore[arg-type]  # the same
        connections.left(client)  # type: ignore[arg-type]  # twice does no harm
        assert not client.ended
        await asyncio.sleep(0)


@pytest.mark.parametrize("tenant", ["PBX 7", None])
def test_so_many_are_read_on_after_their_answer_and_the_oldest_goes_for_one_more(
    tenant: str | None,
) -> None:
    connections = Connections(ConnectionLimits(200))
    clients = [Client() for _ in range(40)]
    other = Client("192.0.2.2")
    for client in [other, *clients]:
        connections.admit(client)  # type: ignore[arg-type]  # all that it looks at
        if tenant is not None and client is not other:
            connections.authenticated(client, tenant)  # type: ignore[arg-type]  # the same
        client.lingers = True
        connections.lingers(client)  # type: ignore[arg-type]  # the same
    assert [client.ended for client in clients] == [True] * 8 + [False] * 32
    assert not other.ended


async def test_what_is_read_for_its_senders_sake_alone_is_read_a_few_at_a_time() -> None:
    connections = Connections(ConnectionLimits())
    clients = [Client() for _ in range(10)]
    for client in clients:
        connections.drop_more_later(client)  # type: ignore[arg-type]  # all that it looks at
    await clients[0].dropped.wait()
    assert [client.dropped.is_set() for client in clients] == [True] * 3 + [False] * 7
    await clients[9].dropped.wait()
    assert all(client.dropped.is_set() for client in clients)
