"""The oldest supported Postgres among the system's packages: what holds must hold on it as well.

`python -m support.system_postgres` installs the package, PgBouncer's and Chromium's, where a run
demands them: as root, in a CI run (`CI` is set), on a system with apt that has none. Elsewhere
nothing is installed.
"""

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support import chromium, pgbouncer
from support.places import passable_folder

_OLDEST = 15  # what Hookline supports; older servers on a machine are of no interest
_WITHIN_S = 60
_INSTALL_WITHIN_S = 300
_INITDB = ("-U", "hookline", "-A", "trust", "--no-sync", "--locale=C", "--encoding=UTF8")


def find_programs() -> Path | None:
    """Return the folder of the oldest supported server's programs, or None where there is none."""
    found = [(_version(folder / "postgres"), folder) for folder in _folders()]
    supported = [(version, folder) for version, folder in found if version >= _OLDEST]
    return min(supported)[1] if supported else None


@contextmanager
def running(programs: Path) -> Iterator[str]:
    """Run a fresh server for the block and give its address; root runs it as `nobody`."""
    with passable_folder(durable=False) as folder:
        account = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        if account is not None:
            os.chown(folder, account, -1)
        data = folder / "data"
        places = f"-c listen_addresses='' -c unix_socket_directories={folder} -c port=5432"
        options = f"{places} -c fsync=off"
        _run(account, programs / "initdb", "-D", data, *_INITDB)
        start = ("start", "--wait", "-l", folder / "log", "-o", options)
        _run(account, programs / "pg_ctl", "-D", data, *start)
        try:
            yield f"postgresql://hookline@/postgres?host={folder}&port=5432"
        finally:
            _run(account, programs / "pg_ctl", "-D", data, "stop", "--wait", "-m", "immediate")


def _folders() -> list[Path]:
    """Return where packages put the server: Debian's places, and what `pg_config` names."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    if pg_config := shutil.which("pg_config"):  # Debian's fails without the headers
        folders.append(Path(_output(pg_config, "--bindir").strip()))
    return [folder for folder in folders if (folder / "postgres").exists()]


def _version(server: Path) -> int:
    match = re.search(r"\d+", _output(server, "--version"))
    return int(match[0]) if match else 0


def _output(*command: str | Path) -> str:
    """Return what a program prints, nothing where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WITHIN_S)
    return done.stdout if done.returncode == 0 else ""


def _run(account: int | None, *command: str | Path) -> None:
    subprocess.run(
        command, user=account, cwd="/", stdout=subprocess.DEVNULL, check=True, timeout=_WITHIN_S
    )


def _install(packages: Sequence[str]) -> None:
    """Install the system's packages; a failure is told and left to the tests that need them."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ("apt-get", "update", "-q"),
        ("apt-get", "install", "-q", "-y", "--no-install-recommends", *packages),
    ):
        subprocess.run(command, env=environment, check=False, timeout=_INSTALL_WITHIN_S)


def main() -> None:
    """Install what is missing, where that is called for."""
    wanted = bool(os.environ.get("CI")) and os.geteuid() == 0 and shutil.which("apt-get")
    found = {
        "postgresql": find_programs(),
        "pgbouncer": pgbouncer.find_program(),
        "chromium": chromium.find_program(),
    }
    missing = [package for package, programs in found.items() if programs is None]
    if wanted and missing:
        sys.stdout.write(f"Installing {' and '.join(missing)}: the tests need them.\n")
        _install(missing)


if __name__ == "__main__":
    main()
