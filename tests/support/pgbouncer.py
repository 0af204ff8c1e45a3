"""A real PgBouncer in front of a server: the system's package, with its own defaults.

`python tests/support/system_postgres.py` installs it where a run demands that.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from support import leftovers

_WITHIN_S = 60


def find_program() -> Path | None:
    """Return the program, which distributions keep from ordinary users' PATH."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return Path(found) if found else None


@contextmanager
def pooling(program: Path, dsn: str, mode: str) -> Iterator[str]:
    """Run one in this pool mode for the block, in front of a server on a Unix socket."""
    address = urlsplit(dsn)
    sockets = parse_qs(address.query)["host"][0]
    with tempfile.TemporaryDirectory(prefix=leftovers.prefix("test")) as name:
        folder = Path(name)
        (folder / "users").write_text(f'"{address.username}" ""\n')
        (folder / "pgbouncer.ini").write_text(
            f"""
            [databases]
            * = host={sockets} port=5432 user={address.username}
            [pgbouncer]
            pool_mode = {mode}
            listen_addr =
            listen_port = 6432
            unix_socket_dir = {folder}
            auth_type = trust
            auth_file = {folder / "users"}
            """.replace("            ", "")
        )
        nobody = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None  # root is refused
        for each in (folder, *folder.iterdir()) if nobody is not None else ():
            os.chown(each, nobody or -1, -1)
        process = subprocess.Popen(
            (program, folder / "pgbouncer.ini"), user=nobody, stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stderr is not None
            said = ""
            while "process up" not in said:
                line = process.stderr.readline()
                assert line, f"PgBouncer ended and said: {said}"
                said += line
            yield f"postgresql://{address.username}@{address.path}?host={folder}&port=6432"
        finally:
            process.terminate()
            process.communicate(timeout=_WITHIN_S)
