"""Where everything of one embedded Postgres lies.

DATA_DIR/postgres, the control directory, holds the lock, the password and two notes. The server's
own things lie there too; where root runs it from a place that no other user can pass, they lie in a
folder of the system directory, which the note `sheltered-at` names. A socket's name has room for
103 bytes on every system: under a longer path the socket lies in a short private folder, which the
note `socket-at` names and which is removed at the stop. No permission of anything that was there
before is changed.
"""

import os
import re
import secrets
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from hookline.db.embedded.permissions import (
    Identity,
    hand_over,
    is_root,
    make_folder,
    ourselves,
    owner_of,
    unused,
    write,
)
from hookline.errors import EmbeddedPostgresError

# The one place outside DATA_DIR, used by root alone.
SYSTEM_DIR = Path("/var/lib/hookline" if sys.platform == "linux" else "/usr/local/var/hookline")

ROLE = "hookline"  # not a superuser; may create databases
DATABASE = "hookline"
PORT = 5432  # only a part of the socket's name: nothing listens on the network

_SOCKET_NAME = f"/.s.PGSQL.{PORT}"
_LONGEST_SOCKET = 103  # bytes of sockaddr_un without the closing zero: 103 on macOS, 107 on Linux
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/+=-]*")  # `,` and `:` separate hosts in a DSN


@dataclass(frozen=True, slots=True)
class Home:
    """The places of one cluster."""

    data_dir: Path
    root: Path  # the control directory, or one of `system_dir`

    @property
    def control_dir(self) -> Path:
        """What is found from DATA_DIR alone."""
        return control_dir_of(self.data_dir)

    @property
    def locks(self) -> list[Path]:
        """What an owner holds: a copied DATA_DIR may point to a cluster that is in use."""
        folders = (
            [self.control_dir] if self.root == self.control_dir else [self.control_dir, self.root]
        )
        return [folder / "lock" for folder in folders]

    @property
    def password(self) -> Path:
        """The role's password, mode 0600."""
        return self.control_dir / "password"

    @property
    def data(self) -> Path:
        """Postgres' data directory; it exists only when it is complete."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """The server's log files, one for each day of the week."""
        return self.root / "log"

    @property
    def run(self) -> Path:
        """Where the socket lies if its name fits."""
        return self.root / "run"

    @property
    def startup_log(self) -> Path:
        """What the server says before its log is open."""
        return self.root / "startup.log"

    @property
    def configuration(self) -> Path:
        """The generated postgresql.conf."""
        return self.root / "postgresql.conf"

    @property
    def access(self) -> Path:
        """The generated pg_hba.conf."""
        return self.root / "pg_hba.conf"

    def dsn(self, sockets: Path) -> str:
        """Return the address of the service's database; it holds the password."""
        password = self.password.read_text(encoding="ascii").strip()
        return (
            f"postgresql://{ROLE}:{password}@/{DATABASE}"
            f"?host={quote(str(sockets), safe='/')}&port={PORT}"
        )


def control_dir_of(data_dir: Path) -> Path:
    """Return the folder that embedded Postgres has in a data directory."""
    return data_dir / "postgres"


def find(data_dir: Path) -> Home:
    """Return where the cluster of `data_dir` lies, or would lie."""
    data_dir = data_dir.absolute()
    control_dir = control_dir_of(data_dir)
    note = control_dir / "sheltered-at"
    return Home(data_dir, _noted(note) if note.exists() else control_dir)


def open_control_dir(data_dir: Path) -> None:
    """Make DATA_DIR and the control directory where they are missing; root's server may pass."""
    if "\n" in str(data_dir):
        raise EmbeddedPostgresError(
            f"The data directory {str(data_dir)!r} has a line break in its name, which Postgres "
            "cannot work with. Set HOOKLINE_DATA_DIR to another directory."
        )
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    for folder in (data_dir, control_dir_of(data_dir)):
        make_folder(folder, ourselves(), mode=0o711 if is_root() else 0o700)


def settle(home: Home, system_dir: Path) -> tuple[Home, Identity]:
    """Return where the cluster lies and who runs it, chosen once and then kept."""
    if home.data.exists():
        return home, _keeper(home)
    server = unused() if is_root() else ourselves()
    if home.root == home.control_dir and not server.can_pass(home.control_dir):
        home = _move_to_system_dir(home, system_dir)
    make_folder(home.log, server, mode=0o700)
    return home, server


def open_system_dir(system_dir: Path) -> None:
    """Make the system directory where it is missing: root's; others may pass it, and not read."""
    system_dir.parent.mkdir(parents=True, exist_ok=True)
    make_folder(system_dir, ourselves(), mode=0o711)


def socket_folder(home: Home, server: Identity, system_dir: Path) -> Path:
    """Return a folder, `server`'s alone, in which a socket's name is short enough."""
    if _fits(home.run):
        make_folder(home.run, server, mode=0o700)
        return home.run
    note = home.control_dir / "socket-at"
    if note.exists() and _private(noted := _noted(note), server):
        return noted
    made = _short_folder(server, system_dir)
    write(note, f"{made}\n", mode=0o600)
    return made


def leave_socket_folder(home: Home, sockets: Path) -> None:
    """Remove a socket folder that lies outside the home; the server is down."""
    if sockets != home.run:
        clear_sockets(sockets)
        sockets.rmdir()
        (home.control_dir / "socket-at").unlink(missing_ok=True)


def clear_sockets(sockets: Path) -> None:
    """Remove what a killed server left: its lock may name a process id that others have by now."""
    for leftover in sockets.glob(".s.PGSQL.*"):
        leftover.unlink()


def write_owner(cluster: Path, data_dir: Path) -> None:
    """Note whose a cluster is; at each start, as directories and devices may move."""
    device = data_dir.stat().st_dev
    write(cluster / "belongs-to", f"{data_dir}\n{device}\n", mode=0o600)


def _noted(note: Path) -> Path:
    return Path(note.read_text(encoding="utf-8").removesuffix("\n"))


def _keeper(home: Home) -> Identity:
    """Return who owns the data, and so runs the server."""
    owner = owner_of(home.data)
    if not is_root():
        if owner.uid != ourselves().uid:
            raise EmbeddedPostgresError(
                f"The database in {home.root} belongs to user id {owner.uid}, who made it, and "
                f"this is user id {ourselves().uid}. Start Hookline as that user (or as root), "
                "or set HOOKLINE_DATA_DIR to a directory of your own."
            )
        return owner
    if owner.uid == 0:  # copied back by root: Postgres would refuse it
        owner = unused()
        for tree in (home.data, home.log, home.run):
            hand_over(tree, owner)
    if not owner.can_pass(home.root):
        raise EmbeddedPostgresError(
            f"Postgres runs as user id {owner.uid}, who cannot pass the folders above {home.root}. "
            "Move HOOKLINE_DATA_DIR back, or to where every user may pass (mode 711 is enough)."
        )
    return owner


def _move_to_system_dir(home: Home, system_dir: Path) -> Home:
    open_system_dir(system_dir)
    folder = system_dir / f"cluster-{secrets.token_hex(6)}"
    make_folder(folder, ourselves(), mode=0o711)
    write_owner(folder, home.data_dir)
    write(home.control_dir / "sheltered-at", f"{folder}\n", mode=0o600)
    return Home(home.data_dir, folder)


def _short_folder(server: Identity, system_dir: Path) -> Path:
    for base in _short_bases(system_dir):
        if base.is_dir() and _fits(base / "hookline-12345678"):
            made = Path(tempfile.mkdtemp(prefix="hookline-", dir=base))
            if is_root():
                os.chown(made, server.uid, server.gid)
            return made
    raise EmbeddedPostgresError(
        "No folder has a name short enough for Postgres' socket. Set HOOKLINE_DATA_DIR to a path "
        f"of at most {_LONGEST_SOCKET - len('/postgres/run' + _SOCKET_NAME)} plain characters."
    )


def _short_bases(system_dir: Path) -> list[Path]:
    if is_root():
        open_system_dir(system_dir)
        return [system_dir]
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere")
    private = [runtime] if _private(runtime, ourselves()) else []
    return [*private, Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108  # mkdtemp in it


def _fits(folder: Path) -> bool:
    name = f"{folder}{_SOCKET_NAME}"
    return _PLAIN_PATH.fullmatch(name) is not None and len(name) <= _LONGEST_SOCKET


def _private(folder: Path, owner: Identity) -> bool:
    """Say whether `folder` is one, not a link to one, and open to its owner alone."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == owner.uid
        and stat.S_IMODE(status.st_mode) == stat.S_IRWXU
    )
