"""One run of the server: from its start, through its readiness, to its end."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from hookline.db.embedded import programs
from hookline.db.embedded.home import PORT, ROLE, Home, clear_sockets
from hookline.db.embedded.ownership import read_pid_file
from hookline.db.embedded.permissions import Identity, open_private, write
from hookline.db.embedded.programs import Binaries
from hookline.errors import EmbeddedPostgresError

_LOOK_EVERY_S = 0.01  # a start takes 40 ms
_START_WITHIN_S = 120.0  # replaying 2 GB of log takes most of a minute
_FAST_SHUTDOWN_S = 30.0  # writes at most 128 MB of buffers
_QUICK_END_S = 5.0
_TAIL_BYTES = 65_536
_SETTINGS = {
    # who gets in
    "listen_addresses": "",  # the socket alone: no port to collide with, no network to guard
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "max_locks_per_transaction": "512",  # a list over 64 days holds ten for each
    "superuser_reserved_connections": "0",  # nobody connects as superuser
    "authentication_timeout": "10s",
    "password_encryption": "scram-sha-256",
    # memory
    "shared_buffers": "128MB",
    "huge_pages": "off",  # 128 MB gain nothing from them
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "temp_file_limit": "2GB",  # a mistaken query must not fill the disk
    # durability: 202 means on disk
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "restart_after_crash": "on",
    "wal_level": "minimal",  # no replica will ever read it
    "max_wal_senders": "0",
    "wal_buffers": "16MB",
    "wal_compression": "off",  # the wheel has pglz alone, which costs more CPU than it saves disk
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",  # fewer checkpoints, so fewer whole pages in the log
    "checkpoint_timeout": "10min",
    "checkpoint_completion_target": "0.9",
    # queries: many, short, over indexes
    "jit": "off",
    "random_page_cost": "1.1",  # solid state disks
    "max_parallel_workers_per_gather": "0",  # two cores, both busy
    "max_logical_replication_workers": "0",
    "io_method": "sync",  # three processes fewer; the hot pages are in memory
    # a queue's tables change all the time
    "autovacuum": "on",
    "autovacuum_naptime": "10s",
    "autovacuum_max_workers": "2",
    "autovacuum_vacuum_threshold": "500",
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_insert_scale_factor": "0.1",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_vacuum_cost_limit": "1000",
    # the log: a file a day, each overwritten a week later, without statements' values
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_line_prefix": "%m [%p] ",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",  # the details of an error show the row
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    # what clients see
    "timezone": "UTC",
    "datestyle": "iso, ymd",
    "lc_messages": "C",
    "default_text_search_config": "pg_catalog.simple",
}

_WHOLE = "# Written by Hookline at each start; changes are lost.\n{lines}\n"


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that one run needs to know; the same for each run of one owner."""

    home: Home
    identity: Identity
    binaries: Binaries
    sockets: Path
    settings: Mapping[str, str]


class Server:
    """A running server, started by us and ours to stop."""

    def __init__(self, recipe: Recipe, process: asyncio.subprocess.Process) -> None:
        self._recipe = recipe
        self._process = process

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._process.pid

    @classmethod
    async def start(cls, recipe: Recipe) -> Self:
        """Start a server and return when it accepts connections; nothing runs if that fails."""
        write(recipe.home.access, access_rules(), mode=0o644)
        write(recipe.home.configuration, _configuration(recipe), mode=0o644)
        clear_sockets(recipe.sockets)
        began = datetime.now(UTC)
        server = cls(recipe, await _launch(recipe))
        try:
            await server._ready(began)
        except BaseException:
            await asyncio.shield(server.stop())
            raise
        return server

    async def wait(self) -> int:
        """Wait until the server ends, and return its exit code (negative: the signal)."""
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop fast: clients are cut off, everything is on disk. Harsher when that takes long."""
        for number, grace_s in (
            (signal.SIGINT, _FAST_SHUTDOWN_S),
            (signal.SIGQUIT, _QUICK_END_S),
        ):
            if await self._ended(number, grace_s):
                return
        await self._ended(signal.SIGKILL, _QUICK_END_S)

    async def _ended(self, number: signal.Signals, grace_s: float) -> bool:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    async def _ready(self, began: datetime) -> None:
        data = self._recipe.home.data
        deadline = asyncio.get_running_loop().time() + _START_WITHIN_S
        while self._process.returncode is None:
            written = read_pid_file(data)
            if written and written.ready and written.pid == self._process.pid:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise EmbeddedPostgresError(
                    f"The embedded Postgres accepted no connection within "
                    f"{_START_WITHIN_S:.0f} s. Its log is in {self._recipe.home.log}."
                )
            await asyncio.sleep(_LOOK_EVERY_S)
        raise EmbeddedPostgresError(_why(self._recipe.home, began))


async def _launch(recipe: Recipe) -> asyncio.subprocess.Process:
    output = open_private(recipe.home.startup_log, os.O_WRONLY | os.O_TRUNC)
    try:
        return await programs.start(
            recipe.identity,
            recipe.binaries.postgres,
            *("-D", recipe.home.data, "-c", f"config_file={recipe.home.configuration}"),
            output=output,
        )
    finally:
        os.close(output)


def _configuration(recipe: Recipe) -> str:
    places = {
        "data_directory": recipe.home.data,
        "hba_file": recipe.home.access,
        "log_directory": recipe.home.log,
        "unix_socket_directories": recipe.sockets,
        "port": PORT,
    }
    lines = "".join(f"{name} = {quoted(str(place))}\n" for name, place in places.items())
    return server_settings(recipe.settings) + lines


def _why(home: Home, began: datetime) -> str:
    """Return a sentence from the server's own last lines."""
    words = _last_log_lines(home, began)
    advice = f"Its log is in {home.log}."
    if "No space left on device" in words:
        advice = f"Free some space on the disk of {home.root}, then start again."
    elif "Read-only file system" in words:
        advice = f"Mount the disk of {home.root} writable, then start again."
    return f"The embedded Postgres did not start: {words or 'it said nothing'}. {advice}"


def _last_log_lines(home: Home, began: datetime) -> str:
    """Return the first fatal words in the server's log, or all that it said before it had one."""
    stamp = began.strftime("%Y-%m-%d %H:%M:%S")
    for line in (line for log in home.log.glob("*.log") for line in _tail(log)):
        if (" FATAL: " in line or " PANIC: " in line) and line[: len(stamp)] >= stamp:
            return line.split(": ", 1)[1].strip()
    said = [line.split("] ", 1)[-1].split(": ", 1)[-1] for line in _tail(home.startup_log)]
    return "; ".join(words.strip() for words in said[-4:])


def _tail(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()


def server_settings(changes: Mapping[str, str]) -> str:
    """Return postgresql.conf: our settings with the caller's changes."""
    settings = _SETTINGS | dict(changes)
    return _WHOLE.format(lines="\n".join(f"{n} = {quoted(v)}" for n, v in settings.items()))


def access_rules() -> str:
    """Return pg_hba.conf: one role, by password, over the socket; nobody else, nowhere."""
    return _WHOLE.format(lines=f"local all {ROLE} scram-sha-256\nlocal all all reject")


def quoted(value: str) -> str:
    r"""Return a setting's value as postgresql.conf reads it: `it's` becomes `'it''s'`."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
