"""A clock that steps: libfaketime under a process, told by a file how far it is off.

`apt-get install faketime`, or the package of another system. Monotonic clocks go on as they are: a
step of the wall's clock does not touch them.
"""

import os
from collections.abc import Mapping
from pathlib import Path

_PLACES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
_NAME = "faketime/libfaketime.so.1"


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


def find_library() -> Path | None:
    """Return libfaketime where this machine has it."""
    for place in map(Path, _PLACES):
        for found in (*place.glob(_NAME), *place.glob(f"*/{_NAME}")):
            if os.access(found, os.R_OK):
                return found
    return None
