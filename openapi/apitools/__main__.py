"""`python -m apitools COMMAND`, for the Makefile."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from apitools import go, java, node
from apitools.breaks import BadList, breaks_of, intended, unintended
from apitools.changelog import changelog
from apitools.clients import generate
from apitools.commands import GenerationFailed
from apitools.history import Document, History, NoHistory
from apitools.lint import NotValid, lint
from apitools.places import CHANGELOG, CLIENTS, DOCUMENT, INTENDED, ROOT


class Refused(Exception):
    """The document is not in order; the message says what to do."""


def main() -> int:
    """Run one command; 0: all is well."""
    parser = argparse.ArgumentParser(prog="apitools", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, (command, meaning) in _COMMANDS.items():
        commands.add_parser(name, help=meaning).set_defaults(command=command)
    chosen: Callable[[], None] = parser.parse_args().command
    try:
        chosen()
    except NoHistory as error:
        _say(f"NOT COMPARED with older API descriptions: {error}")
    except (Refused, BadList, NotValid, GenerationFailed, node.NodeFailed) as error:
        _say(str(error))
        return 1
    return 0


def _lint() -> None:
    lint()


def _clients() -> None:
    without = generate(CLIENTS)
    for client in sorted(path for path in CLIENTS.iterdir() if path.is_dir()):
        _say(f"Generated {_shown(client)}.")
    for language, programs in without.items():
        if programs:
            _say(f"NOT generated: {language}, without {' and '.join(programs)}.")


def _install(language: str, tools: ModuleType) -> None:
    if programs := tools.missing():
        _say(f"NOT installed: what makes the {language} client, without {' and '.join(programs)}.")
    else:
        tools.install()


def _breaks() -> None:
    found = unintended(breaks_of(_document(), History(ROOT)), INTENDED)
    if found:
        listed = "\n".join(f"- {change}" for change in found)
        raise Refused(
            f"The API's description breaks programs that were right:\n{listed}\n"
            "Take that back. If it is meant, write the decision down in docs/decisions and list "
            f"these lines below a heading that links it, in {_shown(INTENDED)}."
        )


def _changelog() -> None:
    CHANGELOG.write_text(_told(), encoding="utf-8")
    _say(f"Wrote {_shown(CHANGELOG)}.")


def _changelog_is_fresh() -> None:
    if CHANGELOG.read_text(encoding="utf-8") != _told():
        raise Refused(f"{_shown(CHANGELOG)} is stale: make api-changelog")


def _told() -> str:
    return changelog(_document(), History(ROOT), intended(INTENDED))


def _document() -> Document:
    document: Document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return document


def _shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _say(text: str) -> None:
    sys.stdout.write(text.rstrip() + "\n")


_COMMANDS: dict[str, tuple[Callable[[], None], str]] = {
    "install-go": (lambda: _install("Go", go), "build oapi-codegen"),
    "install-java": (lambda: _install("Java", java), "download openapi-generator"),
    "lint": (_lint, "hold the document to redocly.yaml"),
    "clients": (_clients, "generate the clients into build/clients"),
    "breaks": (_breaks, "refuse what breaks programs, unless it is intended"),
    "changelog": (_changelog, "tell what changed from version to version"),
    "changelog-is-fresh": (_changelog_is_fresh, "refuse a changelog that is stale"),
}

if __name__ == "__main__":
    sys.exit(main())
