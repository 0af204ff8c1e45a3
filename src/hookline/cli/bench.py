"""`hookline bench`: needs a checkout, since its code is in benchmarks/bench."""

import sys
from importlib import import_module
from pathlib import Path

import typer

from hookline.errors import ConfigurationError

_BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def _unavailable() -> None:
    """Measure the service under load, in a checkout."""
    raise ConfigurationError(
        "The benchmarks are not part of the installed package: run `make bench` in a checkout."
    )


app = typer.Typer(add_completion=False)
if (_BENCHMARKS / "bench" / "command.py").is_file():
    sys.path.append(str(_BENCHMARKS))
    app.command("bench")(import_module("bench.command").bench)
else:
    _ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("bench", context_settings=_ANYTHING)(_unavailable)
