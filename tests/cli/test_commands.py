import json
import re
from urllib.parse import urlsplit, urlunsplit

import pytest

from hookline import __version__
from hookline.security.secrets import generate_key
from hookline.settings import PREFIX, Settings
from support.terminal import Terminal

COMMANDS = (
    *("serve", "worker", "migrate", "doctor", "settings", "keys", "status", "events", "deliveries"),
    *("integrations", "replay", "pbxs", "openapi", "bench", "demo", "listen"),
)


async def test_help_names_every_command(terminal: Terminal) -> None:
    code, out, err = await terminal.run_anew("--help")

    assert (code, err) == (0, "")
    assert [name for name in COMMANDS if not re.search(rf"^\W+{name} ", out, re.MULTILINE)] == []


async def test_version(terminal: Terminal) -> None:
    assert await terminal.run_anew("--version") == (0, f"hookline {__version__}\n", "")


async def test_an_unknown_command_is_a_usage_error(terminal: Terminal) -> None:
    code, out, err = await terminal.run_anew("delivre")

    assert (code, out) == (2, "")
    assert "delivre" in err


async def test_settings_lists_each_with_its_source_and_masks_secrets(terminal: Terminal) -> None:
    code, out, err = await terminal.run_anew(
        "settings", RETRY_DELAYS="1,2", ADMIN_KEY="hk_" + "secretsecretsecretsecretsecret00"
    )

    assert (code, err) == (0, "")
    rows = {line.split("\t")[0]: line.split("\t")[1:4] for line in out.splitlines()[1:]}
    assert list(rows) == [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    assert rows["HOOKLINE_RETRY_DELAYS"] == ["1,2", "environment", "5,30,120"]
    assert rows["HOOKLINE_HOST"] == ["127.0.0.1", "default", "127.0.0.1"]
    assert rows["HOOKLINE_ADMIN_KEY"][0] == "••••••••"
    assert "secretsecret" not in out
    code, out, _ = await terminal.run("settings", "--json", RETRY_DELAYS="1,2")
    found = {each["setting"]: each for each in json.loads(out)}
    assert list(found) == list(rows)
    assert found["HOOKLINE_RETRY_DELAYS"].items() >= {"value": "1,2", "from": "environment"}.items()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
async def test_what_a_terminal_has_no_letter_for_is_escaped(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    code, out, err = await terminal.run_anew("settings")

    assert (code, err) == (0, "")
    assert "HOOKLINE_DATABASE_URL\t\\u2013\tdefault" in out


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "settings"])
async def test_an_impossible_setting_is_one_sentence_and_no_traceback(
    terminal: Terminal, command: str
) -> None:
    code, out, err = await terminal.run(command, DATABASE_URL="postgresql://u:pa55@127.0.0.1/x")

    assert (code, out) == (1, "")
    assert err.startswith("hookline: Set HOOKLINE_ENCRYPTION_KEYS")
    assert err.count("\n") == 1
    assert "pa55" not in err


async def test_a_database_that_is_away_is_a_sentence(terminal: Terminal) -> None:
    code, out, err = await terminal.run(
        "keys",
        "list",
        DATABASE_URL="postgresql://u:pa55@127.0.0.1:1/x",
        ENCRYPTION_KEYS="c2VhbGluZ2tleXNlYWxpbmdrZXlzZWFsaW5na2V5MTI=",
    )

    assert (code, out) == (1, "")
    assert err.startswith("hookline: The database cannot be reached")
    assert err.count("\n") == 1
    assert "pa55" not in err


async def test_the_openapi_document_is_printed_or_written(terminal: Terminal) -> None:
    code, out, err = await terminal.run_anew("openapi")
    written = terminal.directory / "openapi.json"
    await terminal.run("openapi", "--output", str(written))

    assert (code, err) == (0, "")
    assert json.loads(out)["info"]["title"] == "Hookline"
    assert written.read_text() == out


@pytest.mark.parametrize("command", [("serve",), ("worker",), ("migrate",), ("keys", "list")])
async def test_a_database_that_lets_nobody_in_is_told_in_one_sentence(
    terminal: Terminal, postgres: str, command: tuple[str, ...]
) -> None:
    parts = urlsplit(postgres)
    missing = urlunsplit(parts._replace(path="/a_database_that_is_not_there"))
    settings = {"DATABASE_URL": missing, "ENCRYPTION_KEYS": generate_key()}
    code, out, err = await terminal.run(*command, **settings)
    assert (code, out) == (1, "")
    assert err.startswith("hookline: The database refuses what HOOKLINE_DATABASE_URL says: ")
    assert "a_database_that_is_not_there" in err
    assert "Traceback" not in err
    assert not parts.password or parts.password not in err
