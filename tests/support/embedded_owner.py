"""A process that owns an embedded Postgres, as any user, with its own idea of a temporary folder.

`python -m support.embedded_owner DATA_DIR SYSTEM_DIR` starts the server and prints one JSON line,
`{"dsn": …}` or `{"error": …}`; it stops the server when its input ends.
"""

import asyncio
import atexit
import json
import os
import pwd
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from stat import S_IXOTH
from typing import Any

from hookline import logs
from hookline.db.embedded import EmbeddedPostgres
from hookline.errors import EmbeddedPostgresError
from support import leftovers

_WITHIN = 60.0  # seconds


@dataclass(frozen=True)
class Owner:
    """A started owner and the one line it said."""

    process: Process
    said: dict[str, Any]

    @property
    def dsn(self) -> str:
        """The address it printed."""
        return str(self.said["dsn"])

    async def stop(self) -> None:
        """End its input, and so its server, and wait for both."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(_WITHIN):
            assert await self.process.wait() == 0

    async def kill(self) -> None:
        """Kill it as an out-of-memory killer would."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def owner(
    data_dir: Path,
    system_dir: Path,
    *,
    account: pwd.struct_passwd | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Owner]:
    """Run an owner until the block ends; as `account` (only root can) or as ourselves."""
    identity: dict[str, Any] = {}  # create_subprocess_exec's keywords differ in type
    if account is not None:
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    interpreter, home = await _interpreter(identity)
    process = await asyncio.create_subprocess_exec(
        interpreter,
        *("-m", "support.embedded_owner", str(data_dir), str(system_dir)),
        stdin=PIPE,
        stdout=PIPE,
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": _python_path(),
            **home,
            **(environment or {}),
        },
        **identity,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_WITHIN):
            said = json.loads(await process.stdout.readline())
        yield Owner(process, said)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def other_accounts() -> Iterator[pwd.struct_passwd]:
    """Give the accounts of this machine that are not root: what a test may become."""
    return (account for account in pwd.getpwall() if account.pw_uid != 0)


async def _interpreter(identity: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return a Python of this version that the user may run, and what it needs in its environment.

    Ours may lie in root's home: where no other is installed, it is linked to another place.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    says_version = "import sys; sys.exit(sys.version_info[:2] != tuple(map(int, sys.argv[1:])))"
    for candidate in (
        sys.executable,
        f"/usr/bin/python{version}",
        f"/usr/local/bin/python{version}",
    ):
        try:
            probe = await asyncio.create_subprocess_exec(
                candidate, "-S", "-c", says_version, *version.split("."), cwd="/", **identity
            )
        except OSError:
            continue
        if await probe.wait() == 0:
            return candidate, {}
    linked = _linked_python()
    return str(linked / f"bin/python{version}"), {"PYTHONHOME": str(linked)}


@cache
def _linked_python() -> Path:
    """Link this Python and its standard library to where every user may pass, until we end."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base, folder = Path(sys.base_prefix), Path(tempfile.mkdtemp(prefix=leftovers.prefix("python")))
    atexit.register(shutil.rmtree, folder)
    folder.chmod(0o711)
    (folder / "bin").mkdir()
    _copy_program(base / "bin" / version, folder / "bin" / version, libraries=base / "lib")
    (folder / "lib").mkdir()
    for shared in (base / "lib").glob("libpython*.so*"):
        _link(shared, folder / "lib" / shared.name)
    unneeded = shutil.ignore_patterns("site-packages", "test", "idlelib", "ensurepip", "config-*")
    library = base / "lib" / version
    shutil.copytree(library, folder / "lib" / version, ignore=unneeded, copy_function=_link)
    return folder


def _copy_program(source: Path, target: Path, *, libraries: Path) -> None:
    """Copy a program that looks for its libraries beside itself, not where they were built for.

    LD_LIBRARY_PATH would do so too, but Hookline starts Postgres' programs without it.
    """
    built_for = os.fsencode(libraries) + b"\0"
    beside = b"$ORIGIN/../lib".ljust(len(built_for), b"\0")
    program = source.read_bytes()
    target.write_bytes(
        program.replace(built_for, beside) if len(beside) == len(built_for) else program
    )
    target.chmod(0o755)


def _link(source: str | Path, target: str | Path) -> None:
    """Give a file another name, or copy it where it lies on another disk."""
    try:
        os.link(Path(source).resolve(), target)
    except OSError:
        shutil.copy2(source, target)


@cache
def _python_path() -> str:
    """Return where our modules are; where only we may pass, a place that they are linked to."""
    tests = Path(__file__).parent.parent
    ours = [tests, tests.parent / "src", *(Path(each) for each in sys.path if each)]
    needed = [each for each in ours if each.is_dir() and each != tests.parent]
    return os.pathsep.join(str(_passable(each)) for each in dict.fromkeys(needed))


def _passable(modules: Path) -> Path:
    """Return a folder of modules that every user may pass: itself, or links until we end."""
    if all(place.stat().st_mode & S_IXOTH for place in (modules, *modules.parents)):
        return modules
    folder = Path(tempfile.mkdtemp(prefix=leftovers.prefix("modules")))
    atexit.register(shutil.rmtree, folder)
    folder.chmod(0o711)
    return shutil.copytree(modules, folder / modules.name, symlinks=True, copy_function=_link)


async def main(data_dir: Path, system_dir: Path) -> None:
    """Own a server until standard input ends."""
    server = EmbeddedPostgres(data_dir, system_dir=system_dir)
    try:
        said = {"dsn": await server.start()}
    except EmbeddedPostgresError as error:
        said = {"error": str(error)}
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()


if __name__ == "__main__":
    logs.configure()
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
