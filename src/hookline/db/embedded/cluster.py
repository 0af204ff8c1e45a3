"""Makes a cluster, once, whole or not at all; says what is wrong with one that does not fit.

In the system directory it also removes clusters whose data directories are gone for good. Each
cluster's note `belongs-to` names its data directory and the device that this lies on. Where a file
system is not mounted the directory is missing too, but its nearest parent that exists then lies on
another device: such a cluster is kept, as is one that is locked or whose server runs. Earlier
versions noted no device: of theirs those go whose data directories were temporary; the others are
logged.
"""

import fcntl
import os
import secrets
import tempfile
import threading
from pathlib import Path

from hookline.db.embedded import programs
from hookline.db.embedded.home import DATABASE, ROLE, Home
from hookline.db.embedded.ownership import is_alive, read_pid_file
from hookline.db.embedded.permissions import (
    Identity,
    for_initdb,
    hand_over,
    is_root,
    make_folder,
    open_private,
    remove_tree,
    sync_folder,
    write,
)
from hookline.db.embedded.programs import Binaries
from hookline.errors import EmbeddedPostgresError
from hookline.logs import get_logger

_SUPERUSER = "postgres"  # owns the catalogue and cannot log in
_TEMPORARY = tuple({Path(each) for each in ("/tmp", "/var/tmp", tempfile.gettempdir())})  # noqa: S108 - compared only
_INITDB_WITHIN_S = 180.0  # about 1 s on a disk that is not overloaded

# The password has 192 random bits: stretching it would protect nothing, and cost every connection
# of a client that stretches in Python.
_ROLE_AND_DATABASE = """\
set scram_iterations = 1;

create role {role} login createdb password '{password}';

grant pg_monitor, pg_checkpoint to {role};

create database {database} owner {role};

"""
_BETWEEN_S = 0.05  # seconds that others have the processor between two clusters
_LOG = get_logger(__name__)


async def make(home: Home, server: Identity, binaries: Binaries) -> None:
    """Make the cluster of `home`; `home.data` appears when everything is in it and on disk.

    The staging folder lets in the server's own group alone, so that nobody who shares the name that
    root borrows for initdb gets in.
    """
    maker = for_initdb(server)
    staging = home.root / "staging"
    remove_tree(staging)
    staging.mkdir(mode=0o700)
    if is_root():
        os.chown(staging, 0, server.gid)
        staging.chmod(0o710)
    data = staging / "data"
    make_folder(data, maker, mode=0o700)
    password = secrets.token_urlsafe(24)
    await _initdb(binaries, maker, data)
    await _make_role(binaries, maker, data, password)
    if maker != server:
        hand_over(data, server)
    write(home.password, f"{password}\n", mode=0o600)
    data.rename(home.data)
    sync_folder(home.root)
    staging.rmdir()


def check(home: Home, binaries: Binaries) -> None:
    """Raise with advice where the data is not a cluster that the bundled server can open."""
    _check_complete(home)
    version = (home.data / "PG_VERSION").read_text().strip()
    if version != str(binaries.major()):
        raise EmbeddedPostgresError(
            f"{home.data} was made by PostgreSQL {version}, and the bundled server is PostgreSQL "
            f"{binaries.major()}, which cannot read it. Go back to the version of Hookline that "
            "wrote it and dump its database (pg_dump), or upgrade the directory with pg_upgrade; "
            f"or serve it with a PostgreSQL {version} of yours and set HOOKLINE_DATABASE_URL."
        )


def remove_abandoned(system_dir: Path, stopping: threading.Event | None = None) -> None:
    """Remove what no data directory can ever name again; what cannot be removed is logged.

    With `stopping`, it ends soon after that is set, and leaves others time between two clusters.
    """
    for cluster in sorted(system_dir.glob("cluster-*")):
        if stopping is not None and stopping.wait(_BETWEEN_S):
            return
        try:
            if _is_abandoned(cluster):
                _remove_abandoned(cluster)
        except OSError:
            _LOG.exception("embedded_postgres.sweep_failed", directory=str(cluster))


def _check_complete(home: Home) -> None:
    for needed in (home.data / "PG_VERSION", home.data / "global" / "pg_control"):
        if not needed.exists():
            raise EmbeddedPostgresError(
                f"{home.data} is not a whole Postgres data directory: {needed} is missing. Restore "
                "it from a backup, or move it away to start with an empty database."
            )
    if not home.password.exists():
        raise EmbeddedPostgresError(
            f"The database's password is gone: {home.password} is missing. Restore that file from "
            f"a backup, or move {home.data} away to start with an empty database."
        )


async def _initdb(binaries: Binaries, maker: Identity, data: Path) -> None:
    await programs.run(
        maker,
        binaries.initdb,
        f"--pgdata={data}",
        f"--username={_SUPERUSER}",
        "--auth=reject",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--data-checksums",
        "--no-instructions",
        within_s=_INITDB_WITHIN_S,
    )


async def _make_role(binaries: Binaries, maker: Identity, data: Path, password: str) -> None:
    """Speak to the cluster before anybody can connect to it: in single-user mode."""
    await programs.run(
        maker,
        *(binaries.postgres, "--single", "-j", "-D", data),
        *("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic"),  # it has the password
        _SUPERUSER,
        text=_ROLE_AND_DATABASE.format(role=ROLE, database=DATABASE, password=password),
        within_s=_INITDB_WITHIN_S,
    )


def _is_abandoned(cluster: Path) -> bool:
    """Tell whether the data directory is gone, though what it lay on is there."""
    try:
        data_dir, *device = (cluster / "belongs-to").read_text(encoding="utf-8").splitlines()
        recorded = int(device[0]) if device else _temporary_device(Path(data_dir))
    except (FileNotFoundError, ValueError):
        return False  # just being made
    place = Path(data_dir)
    if os.path.lexists(place):
        return False
    if recorded is None:
        _LOG.info("embedded_postgres.owner_missing", directory=str(cluster), data_dir=data_dir)
        return False
    parent = next(each for each in place.parents if each.exists())
    return parent.stat().st_dev == recorded


def _temporary_device(data_dir: Path) -> int | None:
    """Return the device of the folder for temporary files that this lies in, if it does."""
    temporary = next((each for each in _TEMPORARY if data_dir.is_relative_to(each)), None)
    return temporary.stat().st_dev if temporary is not None and temporary.exists() else None


def _remove_abandoned(cluster: Path) -> None:
    """Remove a cluster unless somebody owns it: a moved data directory may, or a server lives."""
    lock = open_private(cluster / "lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        server = read_pid_file(cluster / "data")
        if server is None or not is_alive(server.pid):
            remove_tree(cluster)
            _LOG.info("embedded_postgres.abandoned_removed", directory=str(cluster))
    except BlockingIOError:
        return
    finally:
        os.close(lock)
