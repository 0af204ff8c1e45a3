"""schemathesis over the whole document, at a service as operators run it: it finds nothing."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.databases import Databases
from support.service import Service, Services, services

CONFIG = Path(__file__).parent.parent / "schemathesis.toml"
SECONDS = 300.0  # a bound for a machine that is busy with other things


@pytest.fixture
async def starter(tmp_path: Path, databases: Databases) -> AsyncIterator[Services]:
    async with databases.migrated() as dsn, services(tmp_path, DATABASE_URL=dsn) as opened:
        yield opened


@pytest.fixture
async def service(starter: Services) -> Service:
    return await starter.start(REQUESTS_PER_SECOND="1000000")


async def explored(starter: Services, service: Service, *options: str) -> tuple[int, str]:
    """Run schemathesis; return its exit code and its report."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        *("--config-file", CONFIG, "--no-color", "run", f"{service.url}/v1/openapi.json"),
        *("-H", f"Authorization: Bearer {starter.admin_key}", "--generation-database", "none"),
        *options,
        cwd=starter.terminal.directory,  # it leaves notes
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(SECONDS):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_it_finds_nothing(starter: Services, service: Service) -> None:
    code, report = await explored(starter, service, "--seed", "20260131", "--max-examples", "3")
    assert code == 0, report
    assert "Tested: " in report
    await service.stop()
    assert '"error"' not in await service.command.errors()


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_it_finds_nothing_in_many_tries(starter: Services, service: Service) -> None:
    code, report = await explored(starter, service, "--max-time", "150")
    assert code == 0, report
    await service.stop()
    assert '"error"' not in await service.command.errors()
