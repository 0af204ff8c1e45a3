"""`hookline serve` in processes of its own: workers that share a port, or a service for a while.

With `--processes N` the parent owns the port's number, the bundled Postgres and the workers' lives;
it answers nothing itself. The kernel spreads connections over the workers (SO_REUSEPORT). A worker
whose parent is gone sees its standard input end, and stops; one that dies is started again.
"""

import asyncio
import os
import re
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hookline.background import RestartPauses, Tasks
from hookline.errors import ConfigurationError, HooklineError
from hookline.logs import get_logger

if TYPE_CHECKING:
    from hookline.server.signals import Stopping
    from hookline.settings import Settings, StartSecrets

READY = "ready"
"""What a worker writes on its standard output, in a line of its own, once it answers."""

_STEADY_AFTER = 60.0  # seconds; a worker that lived this long did not die of its start
_AFTER_GRACE = 5.0  # seconds beyond SHUTDOWN_GRACE before a worker that does not end is killed
_PREFIX = "HOOKLINE_"  # of settings, which are slow to import
_START = 90.0  # seconds; a slow disk makes a new database cluster in 20
_STOP = 60.0  # seconds, above what the service takes for its own stop
_LONGEST_SOCKET = 100  # bytes of a Unix socket's path, of which systems take 103 at the least
_LONGEST_LINE = 16 * 1024 * 1024  # bytes of what a process answers in one
_ADDRESS = re.compile(rb"(http://\S+)/v1").search
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerProcesses:
    """What worker processes are started with."""

    size: int
    arguments: tuple[str, ...]
    environment: dict[str, str]
    grace: float
    metrics: Path  # a folder in which each keeps its numbers, for whichever is scraped
    peers: Path | None  # a folder in which each has a socket, for deliveries of its lanes

    async def run(self, stopping: "Stopping", when_ready: Callable[[], None]) -> None:
        """Keep all workers running until the first signal; then have them drain, and end.

        Raises ConfigurationError where a worker ends before it has ever answered.
        """
        asked = asyncio.Event()
        stopping.asks(asked.set)
        ready = [asyncio.Event() for _ in range(self.size)]
        workers = [
            asyncio.create_task(self._keep(number, asked, each))  # noqa: TID251 - awaited below
            for number, each in enumerate(ready)
        ]
        telling = Tasks(essential=True)
        telling.start(_tell(ready, when_ready), "processes-ready")
        try:
            await asyncio.gather(*workers)
        finally:
            asked.set()
            await asyncio.gather(*workers, return_exceptions=True)
            await telling.aclose()

    async def _keep(self, number: int, asked: asyncio.Event, ready: asyncio.Event) -> None:
        pauses = RestartPauses(steady_after=_STEADY_AFTER)
        clock = asyncio.get_running_loop().time
        while not asked.is_set():
            began = clock()
            code = await self._run_one(number, asked, ready)
            if asked.is_set():
                return
            if not ready.is_set():
                raise ConfigurationError(
                    f"A service process ended at its start (exit code {code}); its log says why."
                )
            pause = pauses.after(clock() - began)
            _LOG.error("worker_process.died", worker=number, exit_code=code, again_in_s=pause)
            await _until(asked, pause)

    async def _run_one(self, number: int, asked: asyncio.Event, ready: asyncio.Event) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hookline",
            *self.arguments,
            f"--metrics-file={self.metrics / str(number)}",
            *self._peer_socket(number),
            stdin=PIPE,
            stdout=PIPE,
            env=self.environment,
            start_new_session=True,  # a Ctrl-C is for the parent, which passes it on
        )
        _LOG.info("worker_process.started", worker=number, pid=process.pid)
        output = Tasks(essential=True)
        output.start(_listen(process, ready), f"worker-{number}-output")
        ended = asyncio.create_task(process.wait())  # noqa: TID251 - awaited below
        stop = asyncio.create_task(asked.wait())  # noqa: TID251 - awaited below
        try:
            await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
            return await end_process(process, within=self.grace + _AFTER_GRACE)
        finally:
            for task in (ended, stop):
                task.cancel()
            if process.returncode is None:
                process.kill()
            await output.aclose()

    def _peer_socket(self, number: int) -> tuple[str, ...]:
        if self.peers is None:
            return ()
        path = self.peers / f"{number}.peer"
        return (f"--peer-socket={path}",) if len(bytes(path)) <= _LONGEST_SOCKET else ()


@asynccontextmanager
async def worker_processes(
    settings: "Settings", secrets: "StartSecrets", *, size: int, port: int, engine: bool
) -> AsyncIterator[WorkerProcesses]:
    """Prepare what the workers share, the database above all, for the time of the block."""
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
        arguments: tuple[str, ...] = ("serve", "--worker-process", f"--processes={size}")
        if not engine:
            arguments = (*arguments, "--no-engine")
        metrics = stack.enter_context(_private_folder())
        peers = stack.enter_context(_private_folder()) if engine else None
        grace = settings.shutdown_grace
        yield WorkerProcesses(size, arguments, environment, grace, metrics, peers)


class ServiceNotStarted(HooklineError):
    """A service that was started for a while did not come to answer."""


@dataclass(frozen=True, slots=True)
class RunningService:
    """A `hookline serve` of its own."""

    pid: int
    url: str


@asynccontextmanager
async def running_service(
    directory: Path, variables: Mapping[str, str], *arguments: str
) -> AsyncIterator[RunningService]:
    """Run `hookline serve` in `directory` while the block lasts, and wait until it answers.

    It has these settings, and none of the surroundings' or of `.env`; its log is `service.log`.
    """
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(_PREFIX)}
    own = {f"{_PREFIX}{name}": value for name, value in variables.items()}
    log = directory / "service.log"
    command = (sys.executable, "-m", "hookline", "serve", *arguments)
    async with running(command, directory, log, kept | own) as process:
        yield RunningService(process.pid, await _announced(process, log))


@asynccontextmanager
async def running(
    command: Sequence[str], directory: Path, log: Path, environment: Mapping[str, str]
) -> AsyncIterator[Process]:
    """Run a command while the block lasts; what it complains about goes to `log`."""
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            env=environment,
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            limit=_LONGEST_LINE,
            start_new_session=True,  # Ctrl-C is ours; it is ended by us
        )
    finally:
        os.close(errors)
    try:
        yield process
    finally:
        await end_process(process, within=_STOP)


async def end_process(process: Process, *, within: float) -> int:
    """Ask a process to end, and kill one that has not after `within` seconds, or when hurried.

    Returns its exit code.
    """
    try:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(within):
            return await process.wait()
    except TimeoutError:
        _LOG.warning("process.killed", pid=process.pid)
        process.kill()
        return await process.wait()
    except asyncio.CancelledError:
        if process.returncode is None:
            process.kill()
        raise


def last_log_lines(log: Path) -> str:
    """Return the last line of a log: where a start failed, its sentence."""
    said = log.read_text(errors="replace").strip().splitlines()
    return said[-1] if said else "it said nothing."


async def until_orphaned(orphaned: Callable[[], object]) -> None:
    """Call `orphaned` once the parent is gone: in a worker, when standard input ends."""
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
    from hookline.db.embedded import EmbeddedPostgres  # noqa: PLC0415 - the workers' start first
    from hookline.db.migrate import migrate_at  # noqa: PLC0415

    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    embedded = EmbeddedPostgres(settings.data_dir)
    dsn = await embedded.start()
    stack.push_async_callback(embedded.stop)
    await migrate_at(dsn)
    return dsn


async def _listen(process: Process, ready: asyncio.Event) -> None:
    if process.stdout is None:
        raise AssertionError("a worker's output is a pipe")
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


async def _announced(process: Process, log: Path) -> str:
    """Wait for the line that tells the address, and return it."""
    assert process.stdout is not None  # noqa: S101 - asked for at its start
    try:
        async with asyncio.timeout(_START):
            async for line in process.stdout:
                if found := _ADDRESS(line):
                    return found[1].decode()
    except TimeoutError as error:
        message = f"The service did not start within {_START:g} seconds."
        raise ServiceNotStarted(message) from error
    raise ServiceNotStarted(f"The service did not start: {last_log_lines(log)}")
