"""A clock that steps: libfaketime under a process, told by a file how far it is off.

The library comes with the development tools where its wheel has one that runs, and else from the
system's package (`apt-get install faketime`). Monotonic clocks go on as they are: a step of the
wall's clock does not touch them.
"""

import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from hookline.db.embedded import programs
from hookline.db.embedded.permissions import Identity

_IN_WHEEL = "vendor/libfaketime/src/libfaketime.so.1"  # for Linux on x86-64
_PLACES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
_PACKAGED = "faketime/libfaketime.so.1"


class SteppedClock:
    """The clock of whoever runs with `environment`."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._offset = folder / "clock"
        self._library = library
        self.step(hours=0)

    def step(self, *, hours: int) -> None:
        """Put the clock so many hours ahead of the true time, from now on."""
        fresh = self._offset.with_suffix(".new")
        fresh.write_text(f"{hours * 3600:+d}\n")
        fresh.chmod(0o644)
        fresh.replace(self._offset)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that make a process see this clock."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }


@contextmanager
def clock_of_servers(folder: Path, library: Path) -> Iterator[SteppedClock]:
    """Have every bundled Postgres that is started in the block live by a clock of ours.

    The library is copied to where any user may read it. The launcher does without: it changes its
    user, and what the library shares between processes belongs to its first one.
    """
    copied = folder / "libfaketime.so"
    shutil.copy(library, copied)
    copied.chmod(0o755)
    clock = SteppedClock(folder, copied)
    launcher = programs._launcher

    def and_then(who: Identity) -> list[str]:
        variables = (f"{name}={value}" for name, value in clock.environment.items())
        return [*launcher(who), "/usr/bin/env", *variables]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "_launcher", and_then)
        yield clock


def find_library() -> Path | None:
    """Return a libfaketime that this machine can run, or None."""
    if (sys.platform, platform.machine()) == ("linux", "x86_64"):
        return Path(str(files("libfaketime"))) / _IN_WHEEL
    for place in map(Path, _PLACES):
        for found in (*place.glob(_PACKAGED), *place.glob(f"*/{_PACKAGED}")):
            return found
    return None
