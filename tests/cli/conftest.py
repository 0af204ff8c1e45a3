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
