"""What operators are told: settings, events in the log, commands and files that are right."""

import re
from typing import Any

import pytest
import yaml
from typer.main import get_command

from hookline import __version__
from hookline.cli import app
from hookline.integrations.requests import IntegrationCreate
from hookline.settings import Settings
from support.readme import README, ROOT, code_blocks

DOCS = ROOT / "docs"
MIGRATING = DOCS / "migrating.md"
FILES = DOCS / "operations"
PROGRAM = "/opt/hookline/.venv/bin/"
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(?:\.venv/bin/|\w+=\S+ )?(hookline [a-z][^#\n]*)", re.MULTILINE)
TEXT = "".join((DOCS / f"{each}.md").read_text("utf-8") for each in ("operations", "deploying"))
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
            assert is_known(line)


def test_commands_in_blocks_exist(subtests: pytest.Subtests) -> None:
    for path in [README, *DOCS.glob("*.md")]:
        for line in COMMAND.findall("".join(BLOCK.findall(path.read_text(encoding="utf-8")))):
            with subtests.test(line, path=path.name):
                assert is_known(line)


def test_the_files_to_deploy_with_set_and_run_what_exists(subtests: pytest.Subtests) -> None:
    names = {f"HOOKLINE_{name.upper()}" for name in Settings.model_fields}
    for path in sorted(FILES.glob("*")):
        with subtests.test(path.name):
            text = path.read_text(encoding="utf-8")
            assert set(re.findall(r"HOOKLINE_[A-Z_]+", text)) - {"HOOKLINE_PORT"} <= names
            for line in re.findall(rf"{PROGRAM}(hookline .*)", text):
                assert is_known(line)
    compose = yaml.safe_load((FILES / "compose.yaml").read_text(encoding="utf-8"))
    commands = [each.get("command", "") for each in compose["services"].values()]
    job, deployment, *_ = yaml.safe_load_all((FILES / "kubernetes.yaml").read_text("utf-8"))
    pods = [each["spec"]["template"]["spec"]["containers"][0] for each in (job, deployment)]
    commands += [" ".join(pod["args"]) for pod in pods]
    for command in commands:
        assert command.startswith("postgres ") or is_known(f"hookline {command}")
    probed = {pods[1][f"{each}Probe"]["httpGet"]["path"] for each in ("liveness", "readiness")}
    assert probed == {"/livez", "/readyz"}
    assert f":{__version__}" in pods[0]["image"]


def is_known(line: str) -> bool:
    """Whether there is such a command, with these options."""
    words = line.removeprefix("hookline ").split()
    command: Any = get_command(app)  # a group or a command
    while words and (below := getattr(command, "get_command", None)):
        command = below(None, words.pop(0))
        if command is None:
            return False
    known = {o for each in command.params for o in (*each.opts, *each.secondary_opts)}
    return command.name in line.split() and known >= set(re.findall(r"--[a-z-]+", " ".join(words)))


def test_the_integration_that_is_brought_along_is_valid() -> None:
    [moved] = code_blocks("bash", under="From another webhook service", of=MIGRATING)

    document = re.search(r"<<'END'\n(.*?)^END$", moved, re.DOTALL | re.MULTILINE)
    assert document is not None
    assert IntegrationCreate.model_validate_json(document[1]).enabled is False
