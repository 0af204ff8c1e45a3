"""Worker processes hand deliveries to one another over a socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hookline.dispatch import peers
from hookline.dispatch.peers import PeerGone, Peers, PeerServer, Present
from hookline.queue.port import Claimed
from support.engine_steps import until
from support.jobs import a_job

LEASE, PLACE = 7, 3
NOW = 12.5


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as made:  # a short name: sockets have no room for long ones
        yield Path(made)


class Taker:
    """Takes what comes, as an engine does."""

    def __init__(self) -> None:
        self.came: list[tuple[list[Claimed], float]] = []
        self.full: list[str] = []
        self.may = asyncio.Event()
        self.may.set()

    async def __call__(self, jobs: Sequence[Claimed], leased_at: float) -> list[str]:
        await self.may.wait()
        self.came.append((list(jobs), leased_at))
        return self.full


@pytest.fixture
def taker() -> Taker:
    return Taker()


def a_server(folder: Path, taker: Taker, ended: list[int] | None = None) -> PeerServer:
    """Return one whose leases are LEASE and those that follow it."""
    return PeerServer(
        folder / "1.peer",
        taker,
        new_lease=count(LEASE).__next__,
        ended=([] if ended is None else ended).append,
    )


@pytest.fixture
async def server(folder: Path, taker: Taker) -> AsyncIterator[PeerServer]:
    opened = a_server(folder, taker)
    await opened.open()
    opened.placed(PLACE)
    yield opened
    await opened.aclose()


@asynccontextmanager
async def connected(folder: Path, told: list[Present] | None = None) -> AsyncIterator[Peers]:
    opened = Peers(folder / "0.peer", ([] if told is None else told).append)
    await opened.look()
    await until(lambda: opened.lease_of(PLACE) is not None)
    try:
        yield opened
    finally:
        await opened.aclose()


@pytest.mark.usefixtures("server")
async def test_what_is_handed_over_comes_whole_and_in_order(folder: Path, taker: Taker) -> None:
    jobs = [a_job(lane, lease=LEASE) for lane in ("crm", "wallboard", "crm")]
    async with connected(folder) as others:
        assert others.lease_of(PLACE) == LEASE
        assert others.lease_of(PLACE + 1) is None
        assert await others.hand_over(jobs, NOW) == []
        taker.full = ["crm"]
        assert await others.hand_over(jobs[:1], NOW) == ["crm"]
    assert taker.came == [(jobs, NOW), (jobs[:1], NOW)]


async def test_who_is_there_is_told_to_the_others(server: PeerServer, folder: Path) -> None:
    told: list[Present] = []
    present = Present(["company it_one"], ["it_one", "PBX 2"])
    async with connected(folder, told):
        server.tell(present)
        await until(lambda: told == [present])


async def test_a_process_that_stops_answers_what_it_has_and_takes_no_more(
    server: PeerServer, folder: Path, taker: Taker
) -> None:
    taker.may.clear()
    async with connected(folder) as others:
        under_way = asyncio.create_task(others.hand_over([a_job("crm", lease=LEASE)], NOW))
        await asyncio.sleep(0)
        closing = asyncio.create_task(server.aclose())
        await until(lambda: others.lease_of(PLACE) is None)
        taker.may.set()
        assert await under_way == []
        await closing
        with pytest.raises(PeerGone):
            await others.hand_over([a_job("crm", lease=LEASE)], NOW)
    assert len(taker.came) == 1


async def test_each_connection_has_a_lease_of_its_own_and_its_end_is_told(
    folder: Path, taker: Taker
) -> None:
    ended: list[int] = []
    server = a_server(folder, taker, ended)
    await server.open()
    server.placed(PLACE)
    async with connected(folder) as first:
        async with connected(folder) as second:
            assert (first.lease_of(PLACE), second.lease_of(PLACE)) == (LEASE, LEASE + 1)
            with pytest.raises(PeerGone):
                await second.hand_over([a_job("crm", lease=LEASE)], NOW)
        await until(lambda: ended == [LEASE + 1])
    await until(lambda: ended == [LEASE + 1, LEASE])
    await server.aclose()


async def test_what_a_process_that_dies_has_not_answered_is_told_to_be_lost(folder: Path) -> None:
    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers._write(writer, peers.Hello(PLACE, LEASE))
        await peers._read(reader)
        writer.transport.abort()

    async with (
        await asyncio.start_unix_server(dies, folder / "1.peer"),
        connected(folder) as others,
    ):
        with pytest.raises(PeerGone):
            await others.hand_over([a_job("crm", lease=LEASE)], NOW)
        assert others.lease_of(PLACE) is None


@pytest.mark.usefixtures("server")
async def test_a_process_that_is_silent_gets_nothing_more_until_it_answers(
    folder: Path, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_PATIENCE", 0.01)
    taker.may.clear()
    async with connected(folder) as others:
        assert await others.hand_over([a_job("crm", lease=LEASE)], NOW) == []
        assert others.lease_of(PLACE) is None
        taker.may.set()
        await until(lambda: others.lease_of(PLACE) == LEASE)
    assert len(taker.came) == 1


async def test_a_socket_that_a_dead_process_left_is_nobodys(folder: Path, taker: Taker) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "1.peer"))
    others = Peers(folder / "0.peer", lambda _present: None)
    await others.look()
    again = a_server(folder, taker)
    await again.open()
    again.placed(PLACE)
    async with connected(folder) as found:
        assert await found.hand_over([a_job("crm", lease=LEASE)], NOW) == []
    await again.aclose()
    await others.aclose()


async def test_without_such_sockets_nobody_is_handed_anything(tmp_path: Path, taker: Taker) -> None:
    nowhere = a_server(tmp_path / "missing", taker)
    await nowhere.open()
    nowhere.placed(PLACE)
    await nowhere.aclose()
