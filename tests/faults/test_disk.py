"""A full disk: nothing is accepted, nothing is lost, and space is all it takes to go on."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from support.account import Account, assert_each_delivered_once, the_account
from support.ledger import Ledger
from support.own_postgres import OwnPostgres, migrated, own_postgres
from support.service import Services, services
from support.small_disk import SmallDisk, small_disk
from support.traffic import Traffic

MEGABYTES = 180  # a cluster takes 40, its log 64
AT_ONCE = 16


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk(MEGABYTES) as mounted:
        if mounted is None:
            pytest.skip("NOT RUN on a full disk: only root may mount a file system of its own.")
        yield mounted


@pytest.fixture
async def own(disk: SmallDisk) -> AsyncIterator[OwnPostgres]:
    async with own_postgres(disk.folder) as server:
        yield server


@pytest.fixture
async def apart(tmp_path: Path, own: OwnPostgres) -> AsyncIterator[Services]:
    async with migrated(own) as dsn, services(tmp_path, DATABASE_URL=dsn) as opened:
        yield opened


async def test_a_full_disk_stops_ingest_and_space_starts_it_again(
    apart: Services, disk: SmallDisk, ledger: Ledger, closed: Callable[[Account], Account]
) -> None:
    service = await apart.start(LEASE_MARGIN="600")
    await service.an_integration(ledger)
    traffic = Traffic([service.url], apart.admin_key)

    async with traffic.flowing(AT_ONCE):
        await traffic.until_accepted(100)
        with disk.full():
            await traffic.until_refused(4 * AT_ONCE)
            assert (await service.api.get("/livez")).status_code == 200
        await traffic.until_accepted(100)

    account = closed(await the_account(service, traffic, ledger))
    assert_each_delivered_once(account, traffic)
    assert traffic.without_retry_after == 0
    await service.stop()
