"""What a running server says of itself in its data directory."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PidFile:
    """The parts of postmaster.pid that others may rely on."""

    pid: int
    sockets: Path | None  # the folder, once it listens
    ready: bool  # accepts connections; true for ever where the server was killed


def pid_file(data: Path) -> Path:
    """Return where the file is; a server that stops in order removes it."""
    return data / "postmaster.pid"


def read_pid_file(data: Path) -> PidFile | None:
    """Return what the file says, or None where there is none or it is not yet whole."""
    try:
        lines = pid_file(data).read_text().splitlines()
    except FileNotFoundError:
        return None
    lines += [""] * (8 - len(lines))
    if not lines[0].strip().isdigit():
        return None
    sockets = Path(lines[4]) if lines[4] else None
    return PidFile(int(lines[0]), sockets, lines[7].strip() == "ready")
