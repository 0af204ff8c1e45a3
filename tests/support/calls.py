"""`hookline …` that notes which of its files run between two signals.

`python -m support.calls FILE serve` writes into FILE, at SIGUSR2, the files below `hookline/` of
which the main thread called or resumed a function since SIGUSR1, one a line, in their order.
Periodic work does not count: what it calls has `Periodic` among its callers.
"""

import os
import runpy
import signal
import sys
from pathlib import Path
from types import CodeType, FrameType

import hookline

_ROOT = f"{Path(hookline.__file__).parent}{os.sep}"
_PERIODIC = f"{_ROOT}background.py"


def main() -> None:
    """Run a command of `hookline`, and note what runs when asked to."""
    path = Path(sys.argv[1])
    seen: dict[CodeType, None] = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event == "call" and code not in seen and _is_ours(frame):
            seen[code] = None

    def start(_signal: int, _frame: FrameType | None) -> None:
        seen.clear()
        sys.setprofile(note)

    def write(_signal: int, _frame: FrameType | None) -> None:
        sys.setprofile(None)
        files = dict.fromkeys(code.co_filename.removeprefix(_ROOT) for code in seen)
        draft = path.with_suffix(".draft")
        draft.write_text("".join(f"{file}\n" for file in files))
        draft.rename(path)

    signal.signal(signal.SIGUSR1, start)
    signal.signal(signal.SIGUSR2, write)
    sys.argv = ["hookline", *sys.argv[2:]]
    runpy.run_module("hookline", run_name="__main__")


def _is_ours(frame: FrameType) -> bool:
    """Whether it is a function of the package, and none of periodic work."""
    if not frame.f_code.co_filename.startswith(_ROOT):
        return False
    caller: FrameType | None = frame
    while caller is not None:
        code = caller.f_code
        if code.co_filename == _PERIODIC and code.co_qualname.startswith("Periodic."):
            return False
        caller = caller.f_back
    return True


if __name__ == "__main__":
    main()
