"""What operators are told: settings, events in the log and commands that exist."""

import re

import pytest
from typer.main import get_command

from hookline.cli import app
from hookline.settings import Settings
from support.readme import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SOURCE = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").glob("**/*.py"))


def spans(pattern: str) -> list[str]:
    """Return what stands in backticks and matches as a whole."""
    found = set(re.findall(r"`([^`\n]+)`", TEXT))
    return sorted(each for each in found if re.fullmatch(pattern, each))


@pytest.mark.parametrize("name", spans(r"[A-Z]{2,}(_[A-Z]+)+(=\S+)?"))
def test_settings_that_are_named_exist(name: str) -> None:
    assert name.partition("=")[0].removeprefix("HOOKLINE_").lower() in Settings.model_fields


@pytest.mark.parametrize("event", spans(r"[a-z_]+\.[a-z_]+"))
def test_events_in_the_log_that_are_named_are_logged(event: str) -> None:
    files = {"admin.key", "encryption.keys"}
    assert f'"{event}"' in SOURCE or event in files


@pytest.mark.parametrize("line", spans(r"(hookline|keys) [a-z][a-z -].*"))
def test_commands_that_are_named_exist(line: str) -> None:
    words = line.removeprefix("hookline ").split()
    command = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined] # a group, as asked
    known = {option for parameter in command.params for option in parameter.opts}

    assert command.name in line.split()
    given = re.findall(r"--[a-z-]+", " ".join(words))
    assert [option for option in given if option not in known | {"--no-engine"}] == []
