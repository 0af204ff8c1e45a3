"""`hookline serve --processes N`: several processes on one port, each with an engine of its own.

The parent owns the port's number, the bundled Postgres and the members' lives; it answers nothing
itself. The kernel spreads connections over the members (SO_REUSEPORT). A member whose parent is
gone sees its standard input end, and stops; one that dies is started again.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hookline.errors import ConfigurationError
from hookline.logs import get_logger

if TYPE_CHECKING:
    from hookline.server.signals import Stopping
    from hookline.settings import Settings, StartSecrets

READY = "ready"
"""What a member writes on its standard output, in a line of its own, once it answers."""

_FIRST_PAUSE = 0.25  # seconds before a member that died is started again; doubles
_LONGEST_PAUSE = 15.0
_STEADY_AFTER = 60.0  # seconds; a member that lived this long did not die of its start
_AFTER_GRACE = 5.0  # seconds beyond SHUTDOWN_GRACE before a member that does not end is killed
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Crew:
    """What members are started with."""

    size: int
    arguments: tuple[str, ...]
    environment: dict[str, str]
    grace: float
    tallies: Path  # a folder in which each member keeps its numbers, for whichever is asked

    async def run(self, stopping: "Stopping", when_ready: Callable[[], None]) -> None:
        """Keep all members running until the first signal; then have them drain, and end.

        Raises ConfigurationError where a member ends before it has ever answered.
        """
        asked = asyncio.Event()
        stopping.asks(asked.set)
        ready = [asyncio.Event() for _ in range(self.size)]
        telling = asyncio.create_task(_tell(ready, when_ready), name="processes-ready")
        members = [
            asyncio.create_task(self._keep(number, asked, each), name=f"member-{number}")
            for number, each in enumerate(ready)
        ]
        try:
            await asyncio.gather(*members)
        finally:
            asked.set()
            telling.cancel()
            await asyncio.gather(*members, return_exceptions=True)

    async def _keep(self, number: int, asked: asyncio.Event, ready: asyncio.Event) -> None:
        pause = _FIRST_PAUSE
        clock = asyncio.get_running_loop().time
        while not asked.is_set():
            began = clock()
            code = await self._run_one(number, asked, ready)
            if clock() - began > _STEADY_AFTER:
                pause = _FIRST_PAUSE
            if asked.is_set():
                return
            if not ready.is_set():
                raise ConfigurationError(
                    f"A service process ended at its start (exit code {code}); its log says why."
                )
            _LOG.error("member.died", member=number, exit_code=code, again_in_s=pause)
            await _until(asked, pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _run_one(self, number: int, asked: asyncio.Event, ready: asyncio.Event) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hookline",
            *self.arguments,
            f"--tally={self.tallies / str(number)}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self.environment,
            start_new_session=True,  # a Ctrl-C is for the parent, which passes it on
        )
        _LOG.info("member.started", member=number, pid=process.pid)
        listening = asyncio.create_task(_listen(process, ready), name=f"member-{number}-output")
        ended = asyncio.create_task(process.wait(), name=f"member-{number}-end")
        stop = asyncio.create_task(asked.wait(), name=f"member-{number}-stop")
        try:
            await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
            return await self._end(process)
        finally:
            for task in (listening, ended, stop):
                task.cancel()
            if process.returncode is None:
                process.kill()

    async def _end(self, process: asyncio.subprocess.Process) -> int:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(self.grace + _AFTER_GRACE):
                    await process.wait()
            except TimeoutError:
                _LOG.warning("member.killed", pid=process.pid)
                process.kill()
        return await process.wait()


@asynccontextmanager
async def worker_processes(
    settings: "Settings", secrets: "StartSecrets", *, size: int, port: int, engine: bool
) -> AsyncIterator[Crew]:
    """Prepare what the members share, the database above all, for the time of the block."""
    async with AsyncExitStack() as stack:
        environment = {
            **os.environ,
            "HOOKLINE_DATABASE_URL": await _database(settings, stack),
            "HOOKLINE_ENCRYPTION_KEYS": ",".join(
                key.get_secret_value() for key in secrets.encryption_keys
            ),
            "HOOKLINE_ADMIN_KEY": secrets.admin_key.get_secret_value(),
            "HOOKLINE_PORT": str(port),
        }
        arguments = ("serve", "--member") if engine else ("serve", "--member", "--no-engine")
        tallies = stack.enter_context(_private_folder())
        yield Crew(size, arguments, environment, settings.shutdown_grace, tallies)


async def until_orphaned(orphaned: Callable[[], object]) -> None:
    """Call `orphaned` once the parent is gone: in a member, when standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    orphaned()


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Make a folder that this user alone may look into, for the time of the block."""
    try:
        made = tempfile.TemporaryDirectory(prefix="hookline-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigurationError(
            f"There is no place for temporary files ({error}): set TMPDIR to a writable directory."
        ) from error
    with made as folder:
        yield Path(folder)


async def _database(settings: "Settings", stack: AsyncExitStack) -> str:
    from hookline.db.embedded import EmbeddedPostgres  # noqa: PLC0415 - the members' start first
    from hookline.db.migrate import migrate_at  # noqa: PLC0415

    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    embedded = EmbeddedPostgres(settings.data_dir)
    dsn = await embedded.start()
    stack.push_async_callback(embedded.stop)
    await migrate_at(dsn)
    return dsn


async def _listen(process: asyncio.subprocess.Process, ready: asyncio.Event) -> None:
    if process.stdout is None:
        raise AssertionError("a member's output is a pipe")
    async for line in process.stdout:
        if line.decode().strip() == READY:
            ready.set()


async def _tell(ready: list[asyncio.Event], when_ready: Callable[[], None]) -> None:
    for each in ready:
        await each.wait()
    when_ready()


async def _until(asked: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await asked.wait()
    except TimeoutError:
        return
