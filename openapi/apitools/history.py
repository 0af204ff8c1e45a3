"""The versions of the document that git remembers."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

Document = dict[str, Any]  # Any: a JSON document

_PATH: Final = "openapi/openapi.json"
_PATIENCE: Final = 60  # seconds for one command of git


class NoHistory(Exception):
    """This is no checkout with its whole history, so nothing can be compared with it."""


class History:
    """The committed versions of one checkout."""

    def __init__(self, checkout: Path) -> None:
        self._checkout = checkout
        try:
            shallow = self._git("rev-parse", "--is-shallow-repository").strip()
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoHistory(f"{checkout} is not a git checkout.") from error
        if shallow == "true":
            raise NoHistory(f"{checkout} is a shallow clone; git fetch --unshallow completes it.")

    def committed(self) -> Iterator[Document]:
        """Yield every committed version, newest first."""
        for commit in self._git("log", "--format=%H", "--", _PATH).split():
            found = self._at(commit)
            if found is not None:
                yield found

    def released(self) -> Document | None:
        """Return the version of the newest release: the tag `v…` that was made last."""
        tags = self._git("tag", "--list", "v*", "--merged", "HEAD", "--sort=-creatordate").split()
        return next((found for tag in tags if (found := self._at(tag)) is not None), None)

    def _at(self, revision: str) -> Document | None:
        """Return the document as of a revision; None: it had none."""
        try:
            text = self._git("show", f"{revision}:{_PATH}")
        except subprocess.CalledProcessError:
            return None
        document: Document = json.loads(text)
        return document

    def _git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],  # noqa: S607 - whichever git the developer uses
            cwd=self._checkout,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_PATIENCE,
            check=True,
        ).stdout
