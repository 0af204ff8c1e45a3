"""Where the document, its rules and the tools for it are."""

from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parents[1]
ROOT: Final = HERE.parent
DOCUMENT: Final = HERE / "openapi.json"
INTENDED: Final = HERE / "intended-breaks.md"
CHANGELOG: Final = ROOT / "docs" / "api-changelog.md"
GENERATOR: Final = ROOT / ".venv" / "python-client-generator"  # an environment of its own
CLIENTS: Final = ROOT / "build" / "clients"
