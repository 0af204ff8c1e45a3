"""The programs of docs/receivers.md: found by their heading, and run as they are printed."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from apitools.node import NODE
from support.ports import free_port
from support.service import eventually

GUIDE: Final = Path(__file__).parents[2] / "docs" / "receivers.md"
_PATIENCE: Final = 90.0  # seconds: a compiler may fill its cache first
_LOOK_EVERY: Final = 0.05  # seconds

Command = Sequence[str | Path]


def printed(heading: str, fence: str) -> str:
    """Return the only block of a language below a heading of the guide."""
    text = GUIDE.read_text(encoding="utf-8")
    section = re.split(r"^#{2,3} ", text.partition(f"# {heading}\n")[2], flags=re.MULTILINE)[0]
    blocks = re.findall(rf"^```{fence}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1, f"{heading}: {len(blocks)} blocks of {fence}"
    return str(blocks[0])


@dataclass(frozen=True, slots=True)
class Language:
    """How a program of the guide is made ready and started; `program` is what has to be there."""

    name: str
    fence: str
    file: str
    program: str | Path
    start: Callable[[Path, int], Command]
    build: Callable[[Path], Command] | None = None

    @property
    def is_here(self) -> bool:
        return shutil.which(self.program) is not None


def _dotnet(folder: Path) -> Command:
    version = subprocess.run(["dotnet", "--version"], capture_output=True, text=True, check=True)
    project = (
        '<Project Sdk="Microsoft.NET.Sdk.Web"><PropertyGroup>'
        f"<TargetFramework>net{version.stdout.split('.')[0]}.0</TargetFramework>"
        "<Nullable>enable</Nullable><ImplicitUsings>enable</ImplicitUsings>"
        "</PropertyGroup></Project>"
    )
    (folder / "receiver.csproj").write_text(project, encoding="utf-8")
    return ("dotnet", "build", "--output", "built")


LANGUAGES: Final = (
    Language(
        "Python",
        "python",
        "receiver.py",
        sys.executable,
        lambda _, __: (sys.executable, "receiver.py"),
    ),
    Language("Node", "js", "receiver.mjs", NODE, lambda _, __: (NODE, "receiver.mjs")),
    Language(
        "Go",
        "go",
        "receiver.go",
        "go",
        lambda folder, _: (folder / "receiver",),
        lambda _: ("go", "build", "-trimpath", "-o", "receiver", "receiver.go"),
    ),
    Language(
        "PHP",
        "php",
        "receiver.php",
        "php",
        lambda _, port: ("php", "-S", f"127.0.0.1:{port}", "receiver.php"),
    ),
    Language("Java", "java", "Receiver.java", "javac", lambda _, __: ("java", "Receiver.java")),
    Language(
        "C#",
        "csharp",
        "Program.cs",
        "dotnet",
        lambda _, __: ("dotnet", "built/receiver.dll"),
        _dotnet,
    ),
)


@dataclass(frozen=True, slots=True)
class Running:
    """A receiver that runs."""

    url: str
    output: Path

    def received(self) -> list[str]:
        """Return what the receiver said of each new event."""
        return re.findall(r"received .*", self.output.read_text(encoding="utf-8"))

    async def until_received(self, events: int) -> list[str]:
        """Wait until the receiver has worked on so many events."""

        async def received() -> list[str]:
            return self.received()

        return await eventually(received, lambda lines: len(lines) >= events)


@asynccontextmanager
async def running(language: Language, folder: Path, secret: str) -> AsyncIterator[Running]:
    """Run the guide's receiver in a language for the time of the block."""
    (folder / language.file).write_text(printed(language.name, language.fence), encoding="utf-8")
    port = free_port()
    env = {**os.environ, "SECRET": secret, "PORT": str(port), "TMPDIR": str(folder)}
    if language.build is not None:
        await asyncio.to_thread(_build, language.build(folder), folder, env)
    output = folder / "output.txt"
    with output.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *language.start(folder, port), cwd=folder, env=env, stdout=written, stderr=written
        )
    try:
        await _until_open(port)
        yield Running(f"http://127.0.0.1:{port}/hook", output)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _build(command: Command, folder: Path, env: dict[str, str]) -> None:
    ran = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    if ran.returncode:
        pytest.fail(ran.stdout + ran.stderr)


async def _until_open(port: int) -> None:
    policy = AsyncRetrying(
        stop=stop_after_delay(_PATIENCE),
        wait=wait_fixed(_LOOK_EVERY),
        retry=retry_if_exception_type(OSError),
        reraise=True,
    )
    async for attempt in policy:
        with attempt:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
