"""Real processes, real faults, and an account of each at the end of the run."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from support.account import Account, Close
from support.clock import find_library
from support.databases import Databases
from support.ledger import Ledger, ledger_receiver
from support.own_postgres import OwnPostgres, migrated, own_postgres
from support.places import passable_folder
from support.ports import free_port
from support.service import Services, services

_ACCOUNT = "account"  # a property of tests, so that it comes from whichever process ran them


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in which a Postgres can live, also as root."""
    with passable_folder() as made:
        yield made


@pytest.fixture(scope="session")
def clock_library() -> Path:
    """The libfaketime that programs are run with whose clock is to step."""
    library = find_library()
    if library is None:
        sentence = (
            "NOT RUN with a clock that steps: install libfaketime (apt-get install faketime)."
        )
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return library


@pytest.fixture
async def together(tmp_path: Path, databases: Databases) -> AsyncIterator[Services]:
    """Services that share one database, which is this test's own."""
    async with databases.migrated() as dsn, services(tmp_path, DATABASE_URL=dsn) as opened:
        yield opened


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[OwnPostgres]:
    """A server of this module's own, to be broken."""
    with passable_folder() as made:
        async with own_postgres(made) as server:
            yield server


@pytest.fixture
async def apart(tmp_path: Path, own: OwnPostgres) -> AsyncIterator[Services]:
    """Services that share one database of that server."""
    async with migrated(own) as dsn, services(tmp_path, DATABASE_URL=dsn) as opened:
        yield opened


@pytest.fixture
async def ledger() -> AsyncIterator[Ledger]:
    async with ledger_receiver() as opened:
        yield opened


@pytest.fixture
def port() -> str:
    """A port that nobody has: what is started again there is found again."""
    return str(free_port())


@pytest.fixture
def free_ports() -> tuple[str, str]:
    return str(free_port()), str(free_port())


@pytest.fixture
def closed(record_property: Callable[[str, object], None]) -> Close:
    """Close an account: print it at the run's end, and see that nothing is lost or torn."""

    def close(account: Account) -> Account:
        record_property(_ACCOUNT, str(account))
        assert (account.lost, account.torn) == (0, 0), account
        return account

    return close


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    accounts = [
        f"{report.nodeid.rpartition('::')[-1]}: {account}"
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, account in report.user_properties
        if name == _ACCOUNT
    ]
    if accounts:
        terminalreporter.section("accounts")
    for line in accounts:
        terminalreporter.line(line)
