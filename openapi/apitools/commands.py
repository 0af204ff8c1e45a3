"""Runs the programs that make clients, and keeps what they made."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from apitools.places import MADE

_PATIENCE: Final = 280.0  # seconds: a compiler may fill its cache first, on a busy machine


class GenerationFailed(Exception):
    """A generator or a compiler gave up; what it printed says why."""


def run(
    *command: str | Path,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    patience: float = _PATIENCE,
) -> str:
    """Run a program and return what it printed; raise GenerationFailed with it where it fails."""
    ran = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=patience,
        check=False,
    )
    printed = ran.stdout + ran.stderr
    if ran.returncode:
        raise GenerationFailed(f"{command[0]}: {printed}")
    return printed


def kept(name: str, inputs: Iterable[Path], make: Callable[[Path], object]) -> Path:
    """Return a folder that `make` has filled, from the last time where no input has changed."""
    digest = hashlib.sha256()
    for path in inputs:
        digest.update(path.read_bytes())
    folder = MADE / f"{name}-{digest.hexdigest()[:16]}"
    if folder.exists():
        return folder
    unfinished = MADE / f"{name}-unfinished-{os.getpid()}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    make(unfinished)
    for old in MADE.glob(f"{name}-*"):
        if old != unfinished:
            shutil.rmtree(old, ignore_errors=True)
    unfinished.rename(folder)
    return folder
