"""The TypeScript client, and the types that two other generators make; compiled strictly."""

import json
from pathlib import Path
from typing import Any

from apitools import node
from apitools.places import DOCUMENT, HERE


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


def generate_types(folder: Path, document: Path = DOCUMENT) -> None:
    """Generate `folder/schema.ts` with openapi-typescript and `folder/orval.ts` with orval."""
    folder.mkdir(parents=True, exist_ok=True)
    node.run(
        node.package("openapi-typescript/bin/cli.js"),
        *(str(document.resolve()), "--output", "schema.ts"),
        folder=folder,
    )
    node.run(
        node.package("orval/dist/bin/orval.js"),
        *("--input", str(document.resolve()), "--output", "orval.ts", "--client", "fetch"),
        folder=folder,
    )


def compile_typescript(folder: Path) -> Path:
    """Compile a folder's TypeScript under the strictest settings; return where the result is.

    Raises NodeFailed with the compiler's errors.
    """
    packages = HERE / "node_modules"
    runtime = (folder / "client").exists()  # hey-api's own is not written for exact optional fields
    settings: dict[str, Any] = {  # Any: a JSON document
        "compilerOptions": {
            "strict": True,
            "noUncheckedIndexedAccess": True,
            "exactOptionalPropertyTypes": not runtime,
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
