"""Owns a data directory's Postgres: prepares, starts, starts again when it dies, stops."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from hookline.background import RestartPauses, Tasks
from hookline.db.embedded import cluster, home, programs
from hookline.db.embedded.home import SYSTEM_DIR, find
from hookline.db.embedded.ownership import (
    DataDirectoryInUse,
    Ownership,
    end_orphans,
    is_alive,
    read_holder,
    read_pid_file,
)
from hookline.db.embedded.permissions import explained, is_root
from hookline.db.embedded.server import Recipe, Server
from hookline.errors import EmbeddedPostgresError
from hookline.logs import get_logger

log = get_logger(__name__)

_STEADY_AFTER_S = 10.0  # a server that lived this long did not die of its start
_PATIENCE_S = 30.0  # a service that is just starting makes its cluster first
_LOOK_EVERY_S = 0.05


class EmbeddedPostgres:
    """The Postgres of one data directory, for as long as it is started.

    One process owns a data directory at a time. `settings` change the generated configuration;
    `system_dir` is root's place for what unprivileged users cannot reach elsewhere; `passing` marks
    an owner for the time of one command, for whom a service waits.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        system_dir: Path = home.SYSTEM_DIR,
        passing: bool = False,
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._settings = dict(settings or {})
        self._system_dir = system_dir
        self._passing = passing
        self._server: Server | None = None  # None while a dead one is not yet started again
        self._undo = AsyncExitStack()

    async def start(self) -> str:
        """Start the server and return its DSN, which stays valid when it is started again.

        The DSN holds a password. Its role owns the database and may create others, and is not a
        superuser. Raises EmbeddedPostgresError with a sentence that says what to do.
        """
        began = time.monotonic()
        async with AsyncExitStack() as undo:
            with explained(self._data_dir):
                recipe = await self._prepare(undo)
                dsn = recipe.home.dsn(recipe.sockets)
                self._server = await _start(recipe)
            undo.push_async_callback(self._stop_server)
            pid, took_ms = self._server.pid, round((time.monotonic() - began) * 1000)
            keeper = Tasks(essential=True)
            keeper.start(self._keep_running(recipe), "embedded-postgres")
            undo.push_async_callback(keeper.aclose)
            if is_root():
                self._start_sweep(undo)
            self._undo = undo.pop_all()
        log.info("embedded_postgres.started", pid=pid, took_ms=took_ms)
        return dsn

    async def stop(self) -> None:
        """Stop the server fast and give the directory up; ends within 40 s."""
        await self._undo.aclose()

    async def _prepare(self, undo: AsyncExitStack) -> Recipe:
        """Own the directory, and have a cluster in it that fits the programs."""
        home.open_control_dir(self._data_dir)
        place = home.find(self._data_dir)
        for lock in place.locks:
            ownership = await Ownership.take(lock, self._data_dir, passing=self._passing)
            undo.callback(ownership.drop)
        place, identity = home.settle(place, self._system_dir)
        if place.root != place.control_dir:
            home.write_owner(place.root, place.data_dir)
        installed = await asyncio.to_thread(programs.reachable, identity, self._system_dir)
        if not place.data.exists():
            log.info("embedded_postgres.making", directory=str(place.root), uid=identity.uid)
            await cluster.make(place, identity, installed)
        cluster.check(place, installed)
        sockets = home.socket_folder(place, identity, self._system_dir)
        undo.callback(home.leave_socket_folder, place, sockets)
        return Recipe(
            home=place,
            identity=identity,
            binaries=installed,
            sockets=sockets,
            settings=self._settings,
        )

    def _start_sweep(self, undo: AsyncExitStack) -> None:
        """Remove what others left; there may be hundreds, so nobody waits for it."""
        stopping = threading.Event()
        sweep = Tasks()
        work = asyncio.to_thread(cluster.remove_abandoned, self._system_dir, stopping)
        sweep.start(work, "embedded-postgres-sweep")
        undo.push_async_callback(sweep.aclose)
        undo.callback(stopping.set)

    async def _keep_running(self, recipe: Recipe) -> None:
        """Start the server again whenever it ends, until this task is cancelled."""
        pauses = RestartPauses(steady_after=_STEADY_AFTER_S)
        while True:
            lived = 0.0 if self._server is None else await self._death(self._server)
            await asyncio.sleep(pauses.after(lived))
            self._server = await _started_again(recipe, pauses.next)

    async def _death(self, server: Server) -> float:
        """Wait for the server's end, and return how many seconds it lived from now on."""
        began = time.monotonic()
        code = await server.wait()
        self._server = None
        log.error("embedded_postgres.died", pid=server.pid, exit_code=code)
        return time.monotonic() - began

    async def _stop_server(self) -> None:
        if self._server is not None:
            await self._server.stop()
            log.info("embedded_postgres.stopped", pid=self._server.pid)
            self._server = None


def running_dsn(data_dir: Path) -> str | None:
    """Return the DSN of the server that runs for `data_dir` now, or None where none does."""
    with explained(data_dir):
        home = find(data_dir)
        holder = read_holder(home.control_dir / "lock")
        server = read_pid_file(home.data)
        if holder is None or server is None or not server.ready or server.sockets is None:
            return None
        if not (is_alive(holder.pid) and is_alive(server.pid)):
            return None
        return home.dsn(server.sockets)


@asynccontextmanager
async def attach_or_start(data_dir: Path, *, system_dir: Path = SYSTEM_DIR) -> AsyncIterator[str]:
    """Yield the DSN of the running server, or of one of our own that lasts for this block.

    A service that starts meanwhile waits for the block to end.
    """
    deadline = asyncio.get_running_loop().time() + _PATIENCE_S
    while (dsn := running_dsn(data_dir)) is None:
        own = EmbeddedPostgres(data_dir, system_dir=system_dir, passing=True)
        try:
            dsn = await own.start()
        except DataDirectoryInUse:  # its owner is just starting it
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(_LOOK_EVERY_S)
            continue
        try:
            yield dsn
        finally:
            await own.stop()
        return
    yield dsn


async def _start(recipe: Recipe) -> Server:
    """Clear away what a killed owner or server left, then start."""
    ended = await asyncio.to_thread(end_orphans, recipe.home.data, recipe.identity)
    if ended:
        log.warning("embedded_postgres.orphans_ended", processes=ended)
    return await Server.start(recipe)


async def _started_again(recipe: Recipe, next_pause: float) -> Server | None:
    """Return the new server, or None, logged, where it did not start this time."""
    began = time.monotonic()
    try:
        with explained(recipe.home.data_dir):
            server = await _start(recipe)
    except EmbeddedPostgresError as error:
        log.error("embedded_postgres.not_started_again", error=str(error), again_in_s=next_pause)  # noqa: TRY400  # the sentence says it all
        return None
    except Exception:
        log.exception("embedded_postgres.not_started_again", again_in_s=next_pause)
        return None
    took_ms = round((time.monotonic() - began) * 1000)
    log.warning("embedded_postgres.started_again", pid=server.pid, took_ms=took_ms)
    return server
