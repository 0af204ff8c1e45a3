"""Names into addresses: as operators expect, from a real name server, and bounded per tenant."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from hookline.security.egress.addresses import Address
from hookline.security.egress.resolver import Addresses, DnsResolver, Lookups, NameNotResolved
from support.name_server import NameServer, naming

HERE = (ip_address("127.0.0.1"),)


@asynccontextmanager
async def asking(*servers: NameServer) -> AsyncIterator[DnsResolver]:
    resolver = DnsResolver([f"127.0.0.1:{server.port}" for server in servers])
    try:
        yield resolver
    finally:
        await resolver.aclose()


async def test_the_systems_hosts_file_is_honoured() -> None:
    async with asking() as resolver:
        assert ip_address("127.0.0.1") in await resolver("localhost")


async def test_every_address_is_returned() -> None:
    known = {"crm.example.com": ["192.0.2.1", "192.0.2.2", "192.0.2.1"]}
    async with naming(known) as server, asking(server) as resolver:
        found = await resolver("crm.example.com")
    assert sorted(found) == [ip_address("192.0.2.1"), ip_address("192.0.2.2")]


@pytest.mark.parametrize("name", ["nowhere.example", "empty.example", "silent.example", "ü" * 70])
async def test_no_address_is_an_error_with_the_name(name: str) -> None:
    server = naming({"empty.example": []}, frozenset({"nowhere.example"}))
    async with server as names, asking(names) as resolver:
        with pytest.raises(NameNotResolved, match=name):
            await resolver(name)


class Names:
    """Answers when told to, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.changed = asyncio.Condition()
        self.answer = asyncio.Event()
        self.failing = False

    async def __call__(self, host: str) -> Addresses:
        self.asked.append(host)
        async with self.changed:
            self.changed.notify_all()
        if host.startswith("dead"):
            await self.answer.wait()
        if self.failing:
            raise NameNotResolved(host)
        return HERE

    async def until_asked(self, count: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.asked) >= count)


async def stopped(tasks: Sequence[asyncio.Task[tuple[Address, ...]]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_asks_for_the_same_name_shares_one_lookup_and_stops_it_for_nobody_else() -> None:
    names = Names()
    lookups = Lookups(names, per_tenant=4, keep=0)
    both = [asyncio.create_task(lookups.addresses("dead", tenant)) for tenant in ("a", "b")]
    await names.until_asked(1)
    both[0].cancel()
    names.answer.set()
    assert await both[1] == HERE
    assert names.asked == ["dead"]


async def test_a_tenants_lookups_hold_up_nobody_elses() -> None:
    names = Names()
    lookups = Lookups(names, per_tenant=4, keep=60)
    stuck = [asyncio.create_task(lookups.addresses(f"dead{n}", "a")) for n in range(50)]
    waiting = asyncio.create_task(lookups.addresses("shared", "a"))
    await names.until_asked(4)
    assert await lookups.addresses("shared", "b") == HERE, "though it waits in the other's share"
    assert names.asked == ["dead0", "dead1", "dead2", "dead3", "shared"]
    await stopped([*stuck, waiting])


async def test_what_is_known_takes_no_share() -> None:
    names = Names()
    lookups = Lookups(names, per_tenant=1, keep=60)
    await lookups.addresses("known", "a")
    stuck = asyncio.create_task(lookups.addresses("dead", "a"))
    await names.until_asked(2)
    assert await lookups.addresses("known", "a") == HERE
    await stopped([stuck])


@pytest.mark.parametrize("failing", [False, True])
async def test_answers_and_failures_are_kept_for_a_while(failing: bool) -> None:  # noqa: FBT001
    names = Names()
    names.failing = failing
    for keep, asked in ((60.0, 1), (0.0, 3)):
        names.asked.clear()
        lookups = Lookups(names, per_tenant=4, keep=keep)
        for _ in range(3):
            found = await asyncio.gather(lookups.addresses("x", "a"), return_exceptions=True)
            assert isinstance(found[0], NameNotResolved) == failing
        assert len(names.asked) == asked
