import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hookline.db.migrate import newest_revision
from support.databases import Databases
from support.places import passable_folder
from support.remote_commands import Ended, Run, There, invoked
from support.service import services
from support.terminal import Terminal


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    """A terminal whose data directory may be made where Postgres' user can pass it.

    Else root's database would lie in the system_dir of this machine, and stay there.
    """
    with passable_folder() as folder:
        opened = Terminal(tmp_path, folder / "data")
        try:
            yield opened
        finally:
            await opened.close()


@pytest.fixture(scope="session")
async def made_data(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """A data directory whose database is made already, which takes seconds."""
    with passable_folder() as folder:
        terminal = Terminal(tmp_path_factory.mktemp("made"), folder / "data")
        code, out, err = await terminal.run_anew("migrate", "--json")
        assert code == 0, err
        assert json.loads(out) == {"migration": newest_revision()}
        yield folder / "data"


@pytest.fixture
async def made_terminal(tmp_path: Path, made_data: Path) -> AsyncIterator[Terminal]:
    """A terminal over that directory; one test at a time has it."""
    opened = Terminal(tmp_path, made_data)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture(scope="module")
async def there(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases
) -> AsyncIterator[There]:
    folder = tmp_path_factory.mktemp("remote")
    async with databases.migrated() as dsn, services(folder, DATABASE_URL=dsn) as starter:
        yield There(await starter.start(RETRY_DELAYS="none"), starter.admin_key)


@pytest.fixture
def run(there: There) -> Run:
    async def ran(*arguments: str, key: str = "") -> Ended:
        settings = {"HOOKLINE_SERVER": there.service.url, "HOOKLINE_KEY": key or there.key}
        return await invoked(*arguments, **settings)

    return ran
