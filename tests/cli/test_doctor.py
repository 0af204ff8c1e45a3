import json
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Self

import asyncpg
import pytest
from pydantic import SecretStr

from hookline.cli import checks_database
from hookline.cli.checks_database import Finding, Status, database
from hookline.cli.doctor import machine
from hookline.db import connections
from hookline.domain.access import Principal, Role, new_key
from hookline.domain.catalogue import load_catalogue
from hookline.domain.ids import new_uuid
from hookline.integrations.keys import KeyService
from hookline.integrations.requests import IntegrationCreate
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.security.egress.policy import EgressPolicy
from hookline.security.secrets import KeyRing, generate_key
from hookline.settings import Settings
from support.databases import Databases
from support.terminal import Terminal

ENCRYPTION = generate_key()


@pytest.fixture
async def dsn(databases: Databases) -> AsyncIterator[str]:
    async with databases.migrated() as address:
        yield address


def settings_of(dsn: str, folder: Path, **more: Any) -> Settings:  # noqa: ANN401 - of any setting
    return Settings(
        _env_file=None,
        database_url=SecretStr(dsn),
        encryption_keys=(SecretStr(more.pop("encryption", ENCRYPTION)),),
        data_dir=folder,
        **more,
    )


async def found(settings: Settings) -> dict[str, Finding]:
    return {each.name: each for each in await database(settings)}


async def an_integration(dsn: str, url: str) -> str:
    engine = connections.engine(dsn)
    new = {
        "pbx": "1",
        "transmission": {"type": "WEBHOOK", "url": url},
        "events": {"call": "all"},
    }

    async def refresh() -> None:
        """Know of nothing new."""

    try:
        policy = EgressPolicy(resolve=nowhere)
        service = IntegrationService(
            *(Transactions(engine), KeyRing.parse(ENCRYPTION), policy, load_catalogue()),
            refresh=refresh,
        )
        principal = Principal(new_uuid(), Role.ADMIN, "test")
        made = await service.create(principal, IntegrationCreate.model_validate(new))
    finally:
        await engine.dispose()
    return made.integration.id


async def nowhere(_host: str) -> tuple[()]:
    return ()


async def test_a_database_that_serve_would_take_is_well(dsn: str, tmp_path: Path) -> None:
    settings = settings_of(dsn, tmp_path)
    told = await found(settings)
    assert told.pop("database").status is not Status.FAILED  # a busy machine answers slowly
    assert {name: each.status for name, each in told.items()} == {
        "version": Status.OK,
        "encoding": Status.OK,
        "rights": Status.OK,
        "sessions": Status.OK,
        "connections": Status.OK,
        "clock": Status.OK,
        "migrations": Status.OK,
        "indexes": Status.OK,
        "partitions": Status.WARNING,  # no service has started there
        "encryption keys": Status.OK,
        "admin key": Status.OK,
        "egress": Status.OK,
    }
    assert not (tmp_path / "admin.key").exists()


async def test_an_empty_database_and_a_newer_one_are_told_apart(
    databases: Databases, dsn: str, tmp_path: Path
) -> None:
    empty = await databases.make()
    told = (await found(settings_of(empty, tmp_path)))["migrations"]
    await databases.drop(empty)
    assert (told.status, told.advice) == (Status.FAILED, "run `hookline migrate`.")
    client = await asyncpg.connect(dsn)
    for number, advice in (("0001", "run `hookline migrate`."), ("9999", "start the newer")):
        await client.execute(f"update alembic_version set version_num = '{number}'")  # noqa: S608
        told = (await found(settings_of(dsn, tmp_path)))["migrations"]
        assert told.status is Status.FAILED
        assert advice in str(told.advice)
    await client.close()


async def test_secrets_that_do_not_open_and_targets_that_are_not_public_are_named(
    dsn: str, tmp_path: Path
) -> None:
    made = await an_integration(dsn, "https://nowhere.invalid/hook")
    client = await asyncpg.connect(dsn)
    await client.execute("update integrations set url = 'https://10.1.2.3/hook'")
    await client.close()
    told = await found(settings_of(dsn, tmp_path, encryption=generate_key()))
    assert told["encryption keys"].status is Status.FAILED
    assert f"1 of 1 integrations cannot be decrypted: {made}" in told["encryption keys"].detail
    assert told["egress"].status is Status.WARNING
    assert "not public: 10.1.2.3" in told["egress"].detail
    well = await found(settings_of(dsn, tmp_path, egress_allowed_networks="10.0.0.0/8"))
    assert (well["encryption keys"].status, well["egress"].status) == (Status.OK, Status.OK)


async def test_keys_that_are_none_are_told_apart_from_a_database_that_is_away(
    dsn: str, tmp_path: Path
) -> None:
    told = await found(settings_of(dsn, tmp_path, encryption="x"))
    assert told["encryption keys"].status is Status.FAILED
    assert "is not base64" in told["encryption keys"].detail
    assert "put the keys back" in str(told["encryption keys"].advice)
    assert {told[each].status for each in ("version", "migrations", "egress")} == {Status.OK}


async def test_a_damaged_file_of_keys_is_told_as_that(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with the bundled database, whose keys lie in a file."""
    settings = Settings(_env_file=None, data_dir=tmp_path)
    (tmp_path / "postgres").mkdir()
    (tmp_path / "encryption.keys").write_text("garbage")

    @asynccontextmanager
    async def there(_settings: Settings) -> AsyncIterator[str]:
        yield dsn

    monkeypatch.setattr(checks_database, "dsn_of", there)
    told = await found(settings)
    assert "restore it from a backup" in told["encryption keys"].detail
    assert told["database"].status is not Status.FAILED


async def test_an_admin_key_that_was_revoked_is_told(dsn: str, tmp_path: Path) -> None:
    key, engine = new_key(), connections.engine(dsn)
    keys = KeyService(Transactions(engine))
    settings = settings_of(dsn, tmp_path, admin_key=SecretStr(key))
    assert "next start" in (await found(settings))["admin key"].detail
    await keys.ensure_admin(key)
    assert (await found(settings))["admin key"].detail == "it is known"
    await keys.revoke((await keys.all())[0].id)
    await engine.dispose()
    told = (await found(settings))["admin key"]
    assert told.status is Status.FAILED
    assert "revoked" in told.detail


async def test_clocks_that_differ_are_told(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(datetime.now(UTC).timestamp() - 40, tz)

    monkeypatch.setattr(checks_database, "datetime", Late)
    told = (await found(settings_of(dsn, tmp_path)))["clock"]
    assert told.status is Status.FAILED
    assert "time daemon" in str(told.advice)


async def test_a_database_that_is_away_is_one_finding(tmp_path: Path) -> None:
    [told] = await database(settings_of("postgresql://u:pa55@127.0.0.1:1/x", tmp_path))
    assert told.status is Status.FAILED
    assert "nothing listens there" in told.detail
    assert "pa55" not in told.detail


async def test_what_the_machine_lacks_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "admin.key").write_text(new_key())
    (tmp_path / "admin.key").chmod(0o644)
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (1024, 4096))
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        egress_proxy=SecretStr("http://127.0.0.1:1"),
        sqs_endpoint_url="http://127.0.0.1:1",
    )
    told = {each.name: each for each in await machine(settings)}
    assert "LimitNOFILE=" in str(told["file descriptors"].advice)
    assert "chmod 600" in str(told["secret files"].advice)
    assert told["disk"].detail.endswith(str(tmp_path))
    assert told["egress authorities"].status is Status.OK
    assert told["egress proxy"].status is told["SQS endpoint"].status is Status.FAILED
    assert "127.0.0.1:1 cannot be reached (Connection refused)" in told["SQS endpoint"].detail


async def test_the_command_prints_findings_and_ends_with_1_where_one_failed(
    terminal: Terminal,
) -> None:
    code, out, err = await terminal.run_anew("doctor")
    assert (code, err) == (0, "")
    assert "the first `hookline serve` makes one" in out
    assert not terminal.data.exists()

    away = {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "ENCRYPTION_KEYS": ENCRYPTION}
    code, out, err = await terminal.run("doctor", "--json", **away)
    assert (code, err) == (1, "")
    told = json.loads(out)
    assert told["ok"] is False
    [failed] = [each for each in told["checks"] if each["status"] == "failed"]
    assert failed["name"] == "database"
    assert failed["advice"]

    code, out, err = await terminal.run("doctor", PORT="many")
    assert (code, err) == (1, "")
    assert "HOOKLINE_PORT" in out
