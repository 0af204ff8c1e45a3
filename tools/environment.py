"""Makes .venv, once it is sure that this Python can; leaves nothing behind where it can't.

Run by make with whatever Python it finds, so this file reads in any version of it. Which ones are
supported is said in one place, `requires-python` in pyproject.toml: raise its upper bound, and add
the classifier, as soon as `pip download --python-version 3.15 --only-binary :all: --require-hashes
-r requirements/runtime.txt` finds a wheel for every locked package.
"""

import os
import re
import shutil
import subprocess
import sys

FOLDER = ".venv"


def supported():
    """Return the oldest supported version and the first that isn't any more."""
    with open("pyproject.toml") as file:
        bounds = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', file.read())
    return int(bounds.group(1)), int(bounds.group(2))


def problem():
    """Return what keeps this Python from making the environment, or None."""
    oldest, beyond = supported()
    version = sys.version_info[:2]
    if not (3, oldest) <= version < (3, beyond):
        return (
            "Hookline needs Python 3.%d to 3.%d; %s is %d.%d. Name another: make PYTHON=python3.%d"
            % (oldest, beyond - 1, sys.executable, version[0], version[1], beyond - 1)
        )
    if not os.access(os.curdir, os.W_OK):
        return (
            "This user may not write to %s. Run make as its owner, or in a clone of your own."
            % os.getcwd()
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return "%s can't make environments: its module ensurepip is missing. %s" % (
            sys.executable,
            advice(version),
        )
    return None


def advice(version):
    """Return the one command to run."""
    if not shutil.which("apt-get"):
        return "Install it with this system's package manager, or name another: make PYTHON=…"
    sudo = "" if os.geteuid() == 0 else "sudo "
    return "Run: %sapt-get install python%d.%d-venv" % ((sudo,) + tuple(version))


def main():
    """Make the environment; return the exit code, or a sentence."""
    found = problem()
    if found:
        return found
    made = False
    try:
        made = subprocess.call([sys.executable, "-m", "venv", FOLDER]) == 0
    finally:
        if not made:
            shutil.rmtree(FOLDER, ignore_errors=True)
    return 0 if made else "The environment was not made; what venv said is above."


if __name__ == "__main__":
    sys.exit(main())
