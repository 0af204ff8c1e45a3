import asyncio
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from hookline.security.egress import resolver as module
from hookline.security.egress.resolver import NameNotResolved, SystemResolver


@pytest.fixture
def resolver() -> Iterator[SystemResolver]:
    resolver = SystemResolver()
    yield resolver
    resolver.close()


class SlowServers:
    """A system resolver whose name servers answer only when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer = threading.Event()
        self.has_asked = threading.Semaphore(0)

    def __call__(self, host: str, *_: object, **__: object) -> list[Any]:
        self.asked.append(host)
        self.has_asked.release()
        if host.startswith("slow"):
            self.answer.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 0))]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowServers]:
    servers = SlowServers()
    monkeypatch.setattr(socket, "getaddrinfo", servers)
    yield servers
    servers.answer.set()


async def test_the_systems_hosts_file_is_honoured(resolver: SystemResolver) -> None:
    assert ip_address("127.0.0.1") in await resolver("localhost")


async def test_no_address_is_an_error_with_the_name(
    resolver: SystemResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NameNotResolved, match=r"nowhere\.example"):
        await resolver("nowhere.example")


async def test_lookups_of_one_name_share_a_thread(
    resolver: SystemResolver, servers: SlowServers
) -> None:
    lookups = [asyncio.create_task(resolver("slow.example")) for _ in range(20)]
    await asyncio.to_thread(servers.has_asked.acquire)
    servers.answer.set()
    assert set(await asyncio.gather(*lookups)) == {(ip_address("8.8.8.8"),)}
    assert servers.asked == ["slow.example"]


async def test_whoever_stops_waiting_stops_nobody_else(
    resolver: SystemResolver, servers: SlowServers
) -> None:
    impatient = asyncio.create_task(resolver("slow.example"))
    patient = asyncio.create_task(resolver("slow.example"))
    await asyncio.to_thread(servers.has_asked.acquire)
    impatient.cancel()
    servers.answer.set()
    assert await patient == (ip_address("8.8.8.8"),)


async def test_names_that_were_slow_leave_the_threads_to_the_others(
    resolver: SystemResolver, servers: SlowServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SLOW", -1.0)  # every name counts as slow from now on
    names = [f"slow-{number}.example" for number in range(module._THREADS + module._SLOW_THREADS)]
    servers.answer.set()
    await asyncio.gather(*(resolver(name) for name in names))
    servers.answer.clear()
    stuck = [asyncio.create_task(resolver(name)) for name in names]
    assert await resolver("quick.example") == (ip_address("8.8.8.8"),)
    servers.answer.set()
    await asyncio.gather(*stuck)
