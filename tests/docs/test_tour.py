"""The README's tour, pasted into bash block by block while a service runs as it says."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from factories import Json
from support.places import passable_folder
from support.ports import free_port
from support.readme import code_blocks
from support.service import PATIENCE
from support.terminal import Terminal

FLAGS = re.DOTALL | re.MULTILINE
RUN = {"python": "", "hookline": "-m hookline"}
SERVICE, RECEIVER = "http://127.0.0.1:8080", "http://127.0.0.1:8090"


class Shell:
    """A bash into which blocks are pasted; what it prints is told block by block."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._output = ""

    def start(self, block: str) -> None:
        """Have a block run."""
        assert self._process.stdin is not None
        self._process.stdin.write(block.encode())

    async def paste(self, block: str) -> str:
        """Have a block run and return what was printed up to its end."""
        self.start(f"{block}\necho; echo '<done>'\n")
        return await self.prints(r"<done>\n")

    async def prints(self, pattern: str) -> str:
        """Wait until the pattern is printed; return all that came up to it."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while (found := re.search(pattern, self._output)) is None:
                line = await self._process.stdout.readline()
                assert line, f"bash ended: {self._output}"
                self._output += line.decode()
        told, self._output = self._output[: found.end()], self._output[found.end() :]
        return told


@asynccontextmanager
async def bash(folder: Path) -> AsyncIterator[Shell]:
    process = await asyncio.create_subprocess_exec(
        "bash",
        "--noprofile",
        "--norc",
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Shell(process)
    finally:
        assert process.stdin is not None
        process.stdin.write(b"kill $! 2>/dev/null; exit\n")
        async with asyncio.timeout(PATIENCE):
            await process.communicate()


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A folder like a fresh checkout's: an environment, and no data yet."""
    with passable_folder() as folder:
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        for name in ("python", "hookline"):
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {RUN[name]} "$@"\n')
            (programs / name).chmod(0o755)
        yield folder


@pytest.fixture
async def terminal(checkout: Path) -> AsyncIterator[Terminal]:
    opened = Terminal(checkout, checkout / ".data")
    yield opened
    await opened.close()


async def test_the_tour_works_as_it_is_printed(checkout: Path, terminal: Terminal) -> None:
    starting, *blocks = code_blocks("bash", under="Five minutes")
    [(variable, value)] = re.findall(r"HOOKLINE_(\w+)=(\S+)", starting)
    assert starting.endswith(" make run\n")
    service = await terminal.start("serve", **{variable: value})
    url = (await service.says(r"API +(http://\S+)/v1"))[1]
    naming, creating, listening, sending, looking, unwanted, testing = blocks
    naming = naming.replace(SERVICE, url).replace(RECEIVER, f"http://127.0.0.1:{free_port()}")
    assert url in naming
    assert RECEIVER not in naming

    async with bash(checkout) as shell:
        assert "error" not in await shell.paste(naming)
        integration = document_in(await shell.paste(creating))
        assert integration["name"] == "My first"
        shell.start(listening)
        await shell.prints(r"Listening on .*\n")

        shell.start(sending)
        shown = await shell.prints(r"id, timestamp and body .*\n")
        assert re.search(r"call:completed .* → 200", shown)
        assert shown.count("✓ holds") == 3
        await shell.paste(UNTIL_SETTLED)

        event, delivery = documents_in(await shell.paste(looking))
        assert [outcome["status"] for outcome in event["outcomes"]] == ["delivered"]
        assert [attempt["statusCode"] for attempt in delivery["attempts"]] == [200]
        quiet = document_in(await shell.paste(unwanted))
        assert [outcome["reason"] for outcome in quiet["outcomes"]] == ["not_selected"]
        tested = document_in(await shell.paste(testing))
        assert tested["attempt"]["outcome"] == "delivered"


# A reader takes longer than the outcome's way into the database.
UNTIL_SETTLED = """
until api "$HOOKLINE/v1/events/$EVENT" | grep -q '"status":"delivered"'; do :; done
"""


def documents_in(text: str) -> list[Json]:
    """Return the JSON objects among what was printed, as `show` prints them."""
    return [json.loads(found) for found in re.findall(r"^\{$.*?^\}$", text, FLAGS)]


def document_in(text: str) -> Json:
    [document] = documents_in(text)
    return document
