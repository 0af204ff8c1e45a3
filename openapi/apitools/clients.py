"""The clients, generated out of the tree, from nothing but the document."""

import os
import shutil
from pathlib import Path
from typing import Final

from apitools import go, java
from apitools.commands import GenerationFailed, run
from apitools.places import DOCUMENT, GENERATOR, HERE
from apitools.typescript import generate_typescript

PYTHON_PACKAGE: Final = "hookline_client"
_BIN: Final = GENERATOR / ("Scripts" if os.name == "nt" else "bin")
_STRICTLY: Final = ("--meta", "none", "--fail-on-warning")


def generate(folder: Path) -> dict[str, list[str]]:
    """Generate every client into a folder named after its language, over older ones.

    Returns the programs that each language is missing; without them its client is not generated.
    """
    generate_python(folder / "python")
    generate_typescript(folder / "typescript")
    without = {"go": go.missing(), "java": java.missing()}
    for language, client in (("go", go.go_clients), ("java", java.java_client)):
        shutil.rmtree(folder / language, ignore_errors=True)
        if not without[language]:
            shutil.copytree(client(), folder / language)
    return without


def generate_python(folder: Path, document: Path = DOCUMENT) -> Path:
    """Generate the package `hookline_client` into a folder and return where it is."""
    if not _BIN.exists():
        raise GenerationFailed("The generator is not installed; run: make .venv/generator")
    made = folder / PYTHON_PACKAGE
    shutil.rmtree(made, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    options = ("--path", document, "--output-path", made, "--config", HERE / "python-client.yaml")
    path = f"{_BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    generator = _BIN / "openapi-python-client"
    run(generator, "generate", *options, *_STRICTLY, env={"PATH": path})
    (made / "py.typed").touch()
    return made
