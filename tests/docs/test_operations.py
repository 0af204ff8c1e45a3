"""What operators are told: settings, events in the log and commands that exist."""

import re
from typing import Any

import pytest
from typer.main import get_command

from hookline.cli import app
from hookline.settings import Settings
from support.readme import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
SOURCE = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").glob("**/*.py"))


def spans(pattern: str, text: str = TEXT) -> list[str]:
    """Return what stands in backticks and matches as a whole."""
    found = set(re.findall(r"`([^`\n]+)`", text))
    return sorted(each for each in found if re.fullmatch(pattern, each))


def test_settings_that_are_named_exist(subtests: pytest.Subtests) -> None:
    for name in spans(r"(?!OTEL_)[A-Z]{2,}(_[A-Z]+)+(=\S+)?"):
        with subtests.test(name):
            assert name.partition("=")[0].removeprefix("HOOKLINE_").lower() in Settings.model_fields


def test_events_in_the_log_that_are_named_are_logged(subtests: pytest.Subtests) -> None:
    for event in spans(r"[a-z_]+\.[a-z_]+"):
        with subtests.test(event):
            files = {"admin.key", "encryption.keys"}
            assert f'"{event}"' in SOURCE or event in files


GROUPS = "events|deliveries|integrations|replay|pbxs"


def test_commands_that_are_named_exist(subtests: pytest.Subtests) -> None:
    for line in [
        *spans(r"(hookline|keys) [a-z][a-z -].*"),
        *spans(rf"(hookline [a-z]|status \[|({GROUPS}) [a-z]+ ?).*", COMMANDS),
    ]:
        with subtests.test(line):
            words = line.removeprefix("hookline ").split()
            command: Any = get_command(app)  # a group or a command
            while words and (below := getattr(command, "get_command", None)):
                command = below(None, words.pop(0))
                assert command is not None
            known = {o for each in command.params for o in (*each.opts, *each.secondary_opts)}

            assert command.name in line.split()
            given = re.findall(r"--[a-z-]+", " ".join(words))
            assert [option for option in given if option not in known] == []
