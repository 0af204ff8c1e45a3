"""The Go clients: one by openapi-generator, one by oapi-codegen, in one module."""

import os
import shutil
from pathlib import Path
from typing import Final

from apitools import java
from apitools.commands import GenerationFailed, kept, run
from apitools.places import DOCUMENT, HERE, OAPI_CODEGEN

_FOLDER: Final = HERE / "go"
_MODULE: Final = (_FOLDER / "go.mod", _FOLDER / "go.sum")
_GENERATOR_CONFIG: Final = _FOLDER / "client.yaml"
_CODEGEN_CONFIG: Final = _FOLDER / "oapi-codegen.yaml"
_CODEGEN: Final = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen"
_BUILD: Final = 600.0  # seconds: 20 modules over a slow line, compiled on one core
_ANYWHERE: Final = "-trimpath"  # what was compiled counts for a copy that lies elsewhere, too


def missing() -> list[str]:
    """Return the programs that the Go clients need and this machine does not have."""
    return [] if shutil.which("go") else ["go"]


def install() -> None:
    """Build oapi-codegen from the modules that go.sum locks."""
    run("go", "build", _ANYWHERE, "-o", OAPI_CODEGEN, _CODEGEN, folder=_FOLDER, patience=_BUILD)


def oapi_codegen(folder: Path, document: Path = DOCUMENT) -> None:
    """Generate the package hooklineapi into `folder/hooklineapi`."""
    if not OAPI_CODEGEN.exists():
        raise GenerationFailed("oapi-codegen is not installed; run: make .venv/go")
    (folder / "hooklineapi").mkdir(parents=True, exist_ok=True)
    written = folder / "hooklineapi" / "client.go"
    run(OAPI_CODEGEN, "-config", _CODEGEN_CONFIG, "-o", written, document)


def generate_go(folder: Path, document: Path = DOCUMENT) -> None:
    """Generate hooklineapi, and with Java's openapi-generator the package hookline."""
    for path in _MODULE:
        shutil.copy(path, folder)
    oapi_codegen(folder, document)
    if not java.missing():
        java.openapi_generator(_GENERATOR_CONFIG, folder / "hookline", document)


def build_go(folder: Path, *packages: str, module: Path) -> None:
    """Compile packages of a module into programs in a folder, named after them."""
    run("go", "vet", _ANYWHERE, *packages, folder=module)
    stripped = "-ldflags=-s -w"
    run("go", "build", _ANYWHERE, stripped, "-o", f"{folder}{os.sep}", *packages, folder=module)


def go_clients() -> Path:
    """Return the module with the clients of the committed document."""
    return kept("go", (DOCUMENT, *_MODULE, _GENERATOR_CONFIG, _CODEGEN_CONFIG), generate_go)
