"""What is in the way of a start is one sentence, over the real command and real servers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from hookline.security.secrets import generate_key
from support import pgbouncer
from support.postgres_clients import connection
from support.terminal import Terminal


def soak(*row: object) -> object:
    """A row of the same kind as those that always run; each is a start of the command."""
    return pytest.param(*row, marks=pytest.mark.soak)


DATABASES = {
    "whole": "encoding 'UTF8'",
    "granted": "encoding 'UTF8'",
    "latin": "encoding 'LATIN1'",
    "ascii": "encoding 'SQL_ASCII'",
    "closed": "encoding 'UTF8' connection limit 0",
}
ROLES = """
create role plain login;
create role asleep;
create role lost login;
alter role lost set search_path = nowhere;
"""


@pytest.fixture(scope="module")
async def server(oldest_postgres: str) -> AsyncIterator[str]:
    """A server with databases and roles that are not as they should be."""
    async with connection(oldest_postgres) as client:
        await client.execute(ROLES)
        for name, how in DATABASES.items():
            await client.execute(f"create database {name} template template0 {how}")
    yield oldest_postgres
    async with connection(oldest_postgres) as client:
        for name in DATABASES:
            await client.execute(f"drop database {name}")
        for role in ("plain", "asleep", "lost"):
            await client.execute(f"drop role {role}")


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    opened = Terminal(tmp_path)
    yield opened
    await opened.close()


async def refusal(terminal: Terminal, command: str, url: str, **settings: str) -> str:
    """Run a command that must end with one sentence, and return that."""
    keys = {"ENCRYPTION_KEYS": generate_key(), **settings}
    code, out, err = await terminal.run(*command.split(), DATABASE_URL=url, **keys)
    assert (code, out) == (1, ""), err
    assert err.startswith("hookline: "), err
    assert err.count("\n") == 1, err
    return err


def at(dsn: str, *, user: str = "hookline", database: str = "whole", more: str = "") -> str:
    address = urlsplit(dsn)
    query = f"{address.query}{more}"
    return urlunsplit(address._replace(netloc=f"{user}@", path=f"/{database}", query=query))


@pytest.mark.parametrize(
    ("command", "where", "sentence"),
    [
        soak("migrate", {"database": "latin"}, "The database is encoded in LATIN1"),
        ("serve", {"database": "latin"}, "The database is encoded in LATIN1"),
        soak("worker", {"database": "ascii"}, "The database is encoded in SQL_ASCII"),
        ("keys list", {"database": "nowhere"}, 'database "nowhere" does not exist'),
        soak("migrate", {"user": "nobody"}, 'role "nobody" does not exist'),
        soak("serve", {"user": "asleep"}, 'role "asleep" is not permitted to log in'),
        ("migrate", {"user": "plain"}, "may not create tables in the schema public"),
        soak("serve", {"database": "whole"}, "run `hookline migrate` first"),
        soak("serve", {"user": "plain", "database": "closed"}, "too many connections for database"),
        ("serve", {"more": "&options=-c%20bogus%3D1"}, 'configuration parameter "bogus"'),
        soak("keys list", {"more": "&gssencmode=require"}, "a gssencmode that Hookline cannot"),
        soak("serve", {"more": "&sslmode=verify-full&sslrootcert=/no/ca.pem"}, "/no/ca.pem"),
    ],
)
async def test_a_database_that_will_not_do_is_a_sentence(
    terminal: Terminal, server: str, command: str, where: dict[str, str], sentence: str
) -> None:
    assert sentence in await refusal(terminal, command, at(server, **where))


async def test_a_role_that_owns_nothing_is_told_who_does(terminal: Terminal, server: str) -> None:
    keys = {"ENCRYPTION_KEYS": generate_key()}
    granted = at(server, database="granted")
    code, _, err = await terminal.run("migrate", DATABASE_URL=granted, **keys)
    assert code == 0, err
    async with connection(granted) as client:
        await client.execute("grant all on schema public to plain")
        await client.execute("grant all on all tables in schema public to plain")
    said = await refusal(terminal, "serve", at(server, user="plain", database="granted"))
    assert "plain does not own Hookline's tables, hookline does" in said


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://u:marked@127.0.0.1:1/d", "the connection is refused"),
        soak("postgresql://u:marked@nowhere.invalid/d", "the name of its host is not known"),
        soak("postgresql://u:marked@/d?host=/no/where", "no socket of a server"),
        ("postgresql://u:marked/x@h/d", "percent-encode"),
        soak("postgresql://u:marked#x@h/d", "percent-encode"),
        soak("postgresql://u:marked?x@h/d", "percent-encode"),
        soak("postgresql+asyncpg://u:marked@h/d", "must start with postgresql://"),
    ],
)
async def test_an_address_that_leads_nowhere_is_a_sentence_without_its_password(
    terminal: Terminal, url: str, sentence: str
) -> None:
    said = await refusal(terminal, "serve", url)
    assert sentence in said
    assert "marked" not in said


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("?sslmode=require", "does not speak TLS"),
        soak("?connect_timeout=1", "does not answer within 1 s"),
    ],
)
async def test_a_server_that_is_none_is_a_sentence(
    terminal: Terminal, more: str, sentence: str
) -> None:
    """One that answers N, as Postgres without TLS does, and then nothing."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"N")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        assert sentence in await refusal(
            terminal, "serve", f"postgresql://u@127.0.0.1:{port}/d{more}"
        )


async def test_a_home_that_cannot_be_read_is_a_sentence(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "home/.postgresql/postgresql.crt"
    in_the_way.mkdir(parents=True)  # root can read every file, and nobody a folder as one
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    said = await refusal(terminal, "serve", "postgresql://u:marked@127.0.0.1:1/d")
    assert f"{in_the_way} cannot be read" in said


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (b"HOOKLINE_DATABASE_URL=postgresql://u:marked#x@h/d\n", "percent-encode"),
        soak(b"HOOKLINE_DATABASE_URL=postgresql://u:marked\xe4@h/d\n", ".env is not UTF-8"),
        (b'HOOKLINE_DATABASE_URL="postgresql://u:marked@h/d\n', "Line 1 of .env cannot be read"),
        soak(b"HOOKLINE_ENCRYPTION_KEYS=marked\n", "Key 1 of HOOKLINE_ENCRYPTION_KEYS"),
        soak(b"HOOKLINE_ADMIN_KEY=marked\n", "HOOKLINE_ADMIN_KEY: must be hk_"),
    ],
)
async def test_what_dotenv_says_wrongly_is_a_sentence_and_not_repeated(
    terminal: Terminal, written: bytes, sentence: str
) -> None:
    (terminal.directory / ".env").write_bytes(written)
    code, _, err = await terminal.run("serve", DATABASE_URL="", EMBEDDED_POSTGRES="true")
    assert code == 1
    assert sentence in err
    assert "marked" not in err
    assert "Traceback" not in err


async def test_a_port_that_is_taken_is_a_sentence(terminal: Terminal) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = await refusal(terminal, "serve", "postgresql://u@127.0.0.1:1/d", PORT=port)
    assert f"127.0.0.1:{port} cannot be listened on" in said


@pytest.mark.parametrize(
    ("mode", "command"),
    [("transaction", "serve"), soak("transaction", "migrate"), soak("statement", "serve")],
)
async def test_a_pooler_that_shares_sessions_is_refused(
    terminal: Terminal, pooler: Path, migrated_on_oldest: str, mode: str, command: str
) -> None:
    with pgbouncer.pooling(pooler, migrated_on_oldest, mode) as dsn:
        said = await refusal(terminal, command, dsn)
    assert f"a pooler in {mode} mode" in said or f"{mode} pooling mode" in said
