"""The two clients, generated out of the tree, from nothing but the document."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from apitools import node
from apitools.places import DOCUMENT, GENERATOR, HERE

PYTHON_PACKAGE: Final = "hookline_client"
_BIN: Final = GENERATOR / ("Scripts" if os.name == "nt" else "bin")
_STRICTLY: Final = ("--meta", "none", "--fail-on-warning")
_PATIENCE: Final = 120  # seconds; it takes two


class GenerationFailed(Exception):
    """A generator gave up, or left something out; what it printed says why."""


def generate(folder: Path, document: Path = DOCUMENT) -> None:
    """Generate both clients into `folder/python` and `folder/typescript`, over older ones."""
    generate_python(folder / "python", document)
    generate_typescript(folder / "typescript", document)


def generate_python(folder: Path, document: Path = DOCUMENT) -> Path:
    """Generate the package `hookline_client` into a folder and return where it is."""
    if not _BIN.exists():
        raise GenerationFailed("The generator is not installed; run: make .venv/generator")
    made = folder / PYTHON_PACKAGE
    shutil.rmtree(made, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    options = ("--path", document, "--output-path", made, "--config", HERE / "python-client.yaml")
    ran = subprocess.run(
        [_BIN / "openapi-python-client", "generate", *map(str, options), *_STRICTLY],
        env={**os.environ, "PATH": f"{_BIN}{os.pathsep}{os.environ.get('PATH', '')}"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_PATIENCE,
        check=False,
    )
    if ran.returncode:
        raise GenerationFailed(ran.stdout + ran.stderr)
    (made / "py.typed").touch()
    return made


def generate_typescript(folder: Path, document: Path = DOCUMENT) -> Path:
    """Generate the TypeScript sources into `folder/client` and return where they are."""
    made = folder / "client"
    folder.mkdir(parents=True, exist_ok=True)
    node.run(
        node.package("@hey-api/openapi-ts/bin/run.js"),
        *("--file", str(HERE / "openapi-ts.config.mjs")),
        env={"INPUT": str(document.resolve()), "OUTPUT": str(made.resolve())},
    )
    return made


def compile_typescript(folder: Path) -> Path:
    """Compile a folder's TypeScript under the strictest settings; return where the result is.

    Raises NodeFailed with the compiler's errors.
    """
    packages = HERE / "node_modules"
    settings: dict[str, Any] = {  # Any: a JSON document
        "compilerOptions": {
            "strict": True,
            "noUncheckedIndexedAccess": True,
            "exactOptionalPropertyTypes": False,  # the generator's own runtime isn't written for it
            "noImplicitOverride": True,
            "noImplicitReturns": True,
            "noFallthroughCasesInSwitch": True,
            "module": "nodenext",
            "target": "es2023",
            "lib": ["es2023", "dom", "dom.iterable"],
            "types": ["node"],
            "typeRoots": [str(packages / "@types")],
            "rootDir": ".",
            "outDir": "compiled",
        },
        "include": ["client/**/*.ts", "*.ts"],
    }
    (folder / "tsconfig.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    (folder / "package.json").write_text('{"type": "module"}\n', encoding="utf-8")
    node.run(node.package("typescript/bin/tsc"), "--project", "tsconfig.json", folder=folder)
    return folder / "compiled"
