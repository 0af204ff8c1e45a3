from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.terminal import Terminal


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    opened = Terminal(tmp_path)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture(scope="session")
async def made_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose database is made already, which takes seconds."""
    directory = tmp_path_factory.mktemp("made")
    code, _, err = await Terminal(directory).run("migrate")
    assert code == 0, err
    return directory / "data"


@pytest.fixture
async def made_terminal(tmp_path: Path, made_data: Path) -> AsyncIterator[Terminal]:
    """A terminal over that directory; one test at a time has it."""
    opened = Terminal(tmp_path, made_data)
    try:
        yield opened
    finally:
        await opened.close()
