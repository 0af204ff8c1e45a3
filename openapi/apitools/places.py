"""Where the document, its rules and the tools for it are."""

from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parents[1]
ROOT: Final = HERE.parent
DOCUMENT: Final = HERE / "openapi.json"
INTENDED: Final = HERE / "intended-breaks.md"
CHANGELOG: Final = ROOT / "docs" / "api-changelog.md"
GENERATOR: Final = ROOT / ".venv" / "python-client-generator"  # an environment of its own
JARS: Final = ROOT / ".venv" / "java-client"  # openapi-generator, and what Java clients run with
OAPI_CODEGEN: Final = ROOT / ".venv" / "go-client" / "oapi-codegen"
MADE: Final = ROOT / "build" / "generated"  # clients, kept until what they are made from changes
CLIENTS: Final = ROOT / "build" / "clients"
