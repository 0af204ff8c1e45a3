import re
from datetime import UTC, datetime, timedelta

import pytest

from support.terminal import Terminal

KEY = re.compile(r"hk_[A-Za-z0-9_-]{43}\n")


async def row_of(name: str, terminal: Terminal) -> list[str]:
    code, out, err = await terminal.run("keys", "list")
    assert (code, err) == (0, "")
    [row] = [line.split("\t") for line in out.splitlines() if name in line]
    return row


async def test_a_key_is_made_listed_and_revoked_while_nothing_runs(made_terminal: Terminal) -> None:
    code, key, err = await made_terminal.run_anew(
        *("keys", "create", "--role", "manager", "--pbx", "000000000001"),
        *("--name", "for the CRM", "--expires-in", "30d"),
    )
    assert (code, err) == (0, "")
    assert KEY.fullmatch(key)

    identifier, hint, role, scope, name, state, _, used = await row_of("the CRM", made_terminal)
    until = datetime.now(UTC) + timedelta(days=30)
    assert (role, scope, name, used) == ("manager", "pbx 000000000001", "for the CRM", "–")
    assert key.startswith(hint.removesuffix("…"))
    assert state.startswith(f"until {until:%Y-%m}")

    code, out, err = await made_terminal.run("keys", "revoke", identifier)
    assert (code, err) == (0, "")
    assert identifier in out
    assert (await row_of("the CRM", made_terminal))[5] == "revoked"


async def test_a_key_that_is_not_there_cannot_be_revoked(made_terminal: Terminal) -> None:
    missing = "01a20a4b-b3ae-750b-8a93-2500e569c584"

    code, out, err = await made_terminal.run("keys", "revoke", missing)

    assert (code, out, err) == (3, "", f"hookline: There is no key {missing}.\n")
    code, _, err = await made_terminal.run("keys", "revoke", "nope")
    assert (code, err) == (3, "hookline: There is no key 'nope'.\n")


async def test_the_key_of_the_settings_cannot_be_revoked(made_terminal: Terminal) -> None:
    """The next start would fail."""
    named = ("keys", "create", "--role", "admin", "--name", "of settings")
    _, key, _ = await made_terminal.run(*named)
    identifier = (await row_of("of settings", made_terminal))[0]
    code, _, err = await made_terminal.run("keys", "revoke", identifier, ADMIN_KEY=key)
    assert code == 1
    assert "the admin key of the service's settings" in err
    assert (await row_of("of settings", made_terminal))[5] == "valid"


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("--role", "boss"), 2, "'boss' is not one of"),
        ((), 2, "--role"),
        (("--role", "ingest", "--expires-in", "soon"), 2, "90m, 12h, 30d or 8w"),
        (("--role", "ingest", "--expires-in", "0d"), 2, "90m, 12h, 30d or 8w"),
        (("--role", "ingest", "--expires-in", "999999w"), 2, "90m, 12h, 30d or 8w"),
        (("--role", "manager"), 2, "A manager key is for one PBX or one company"),
        (("--role", "admin", "--pbx", "1"), 2, "An admin key is for everything"),
        (("--role", "ingest", "--pbx", "1", "--company", "c"), 2, "not to both"),
        (("--role", "ingest", "--pbx", ""), 2, "pbx: Write 1 to 64 characters"),
        (("--role", "ingest", "--company", "c" * 65), 2, "company: Write 1 to 64 characters"),
        (("--role", "ingest", "--name", "a\nb"), 2, "name: Write 1 to 200 characters"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused_before_anything_starts(
    terminal: Terminal, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    ended, out, err = await terminal.run("keys", "create", *arguments)

    assert (ended, out) == (code, "")
    assert complaint in " ".join(err.replace("│", " ").split())
    assert not terminal.data.exists()
