"""`hookline doctor`: what is wrong with this machine, its settings and the database."""

import asyncio
import json
import os
import resource
import shutil
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from hookline import logs
from hookline.cli import terminal
from hookline.cli.checks_database import Finding, database, failed, ok, warning
from hookline.errors import ConfigurationError
from hookline.security.egress.proxy import Proxy
from hookline.security.egress.tls import client_tls
from hookline.settings import Settings, load_settings
from hookline.settings.generated_secrets import ADMIN_KEY_FILE, ENCRYPTION_KEYS_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence

_OTHER_FILES: Final = 128  # that a process has open besides connections: libraries, logs, sockets
_LEAST_DISK: Final = 1024**3  # bytes: 1 GiB; a day of a busy service
_FOR_OTHERS: Final = 0o077  # permissions of the group and of everybody
_PATIENCE: Final = 3.0  # seconds for a connection
_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False
) -> None:
    """Check what the service needs of this machine, and say how to mend what is wrong.

    With the settings that `serve` would have here, while it runs or not. Nothing is changed. Exit
    code 1 where something would keep the service from its work; warnings alone are 0.
    """
    found = _examined()
    fails = any(each.failed for each in found)
    if as_json:
        checks = [each.document() for each in found]
        sys.stdout.write(json.dumps({"ok": not fails, "checks": checks}, indent=2) + "\n")
    else:
        terminal.say("\n".join(_lines(found)), _COLOURS)
    if fails:
        raise typer.Exit(1)


def _examined() -> "Sequence[Finding]":
    try:
        settings = load_settings()
    except ConfigurationError as error:
        return [failed("settings", str(error), "`hookline settings` lists them all.")]
    logs.configure(level="ERROR", console=True)

    async def examined() -> "Sequence[Finding]":
        return [*await machine(settings), *await database(settings)]

    return [ok("settings", "all can be read"), *asyncio.run(examined())]


def _lines(found: "Sequence[Finding]") -> list[str]:
    widest = max(len(each.name) for each in found)
    lines = []
    for each in found:
        lines.append(f"{each.status.value:<8} {each.name:<{widest}}  {each.detail}")
        if each.advice is not None:
            lines.append(f"{'':<8} {'':<{widest}}  → {each.advice}")
    return lines


async def machine(settings: Settings) -> list[Finding]:
    """Look at this machine."""
    return [
        _file_descriptors(settings),
        *_disk(settings),
        *_secret_files(settings),
        _authorities(settings),
        *await _ways_out(settings),
    ]


def _file_descriptors(settings: Settings) -> Finding:
    """Look at the hard limit: the service raises its own to that."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    targets = settings.max_in_flight + settings.max_idle_connections
    needed = settings.max_connections + targets + 2 * settings.database_pool_size + _OTHER_FILES
    if most == resource.RLIM_INFINITY or most >= needed:
        told = "no limit" if most == resource.RLIM_INFINITY else f"{most:,}"
        return ok("file descriptors", f"{told}; the settings may need {needed:,}")
    return warning(
        "file descriptors",
        f"a process may open {most:,} and the settings may need {needed:,}",
        f"set LimitNOFILE={needed} in the systemd unit, `ulimit -Hn {needed}` in the shell, or"
        " lower MAX_CONNECTIONS, MAX_IN_FLIGHT and MAX_IDLE_CONNECTIONS.",
    )


def _disk(settings: Settings) -> Iterator[Finding]:
    """Only the bundled database lies on this machine's disk."""
    if not settings.embedded:
        return
    there = next(path for path in _upwards(settings.data_dir) if path.exists())
    free = shutil.disk_usage(there).free
    told = f"{free / 1024**3:,.1f} GiB free for {settings.data_dir}"
    if free >= _LEAST_DISK:
        yield ok("disk", told)
    else:
        yield warning(
            "disk", told, "free space, or lower RETENTION_DAYS: a full disk stops the service."
        )


def _upwards(path: Path) -> Iterator[Path]:
    whole = path.absolute()
    return iter((whole, *whole.parents))


def _secret_files(settings: Settings) -> Iterator[Finding]:
    for name in (ADMIN_KEY_FILE, ENCRYPTION_KEYS_FILE):
        path = settings.data_dir / name
        if path.exists():
            mode = path.stat().st_mode
            if mode & _FOR_OTHERS:
                told = f"{path} can be read by others (mode {mode & 0o777:o})"
                yield warning("secret files", told, f"run `chmod 600 {path}`.")
            else:
                yield ok("secret files", f"{path} is this user's alone")


def _authorities(settings: Settings) -> Finding:
    try:
        count = len(client_tls(settings.egress_ca_file).get_ca_certs())
        folder = ssl.get_default_verify_paths().capath
    except ConfigurationError as error:
        return failed("egress authorities", str(error), "correct EGRESS_CA_FILE.")
    if not count and not (folder and any(Path(folder).glob("*"))):
        return warning(
            "egress authorities",
            "no certificate authority of the system was found",
            "install the system's CA certificates (ca-certificates), or set EGRESS_CA_FILE.",
        )
    return ok("egress authorities", f"{count or 'those of ' + str(folder)} are trusted for targets")


async def _ways_out(settings: Settings) -> list[Finding]:
    found: list[Finding] = []
    if settings.egress_proxy is not None:
        proxy = Proxy.parse(settings.egress_proxy.get_secret_value())
        found.append(await _reached("egress proxy", proxy.host, proxy.port, "EGRESS_PROXY"))
    if settings.sqs_endpoint_url is not None:
        parts = urlsplit(settings.sqs_endpoint_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found.append(await _reached("SQS endpoint", parts.hostname or "", port, "SQS_ENDPOINT_URL"))
    return found


async def _reached(name: str, host: str, port: int, setting: str) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as error:  # TimeoutError is one
        why = os.strerror(error.errno) if error.errno else error.strerror or "it does not answer"
        return failed(
            name,
            f"{host}:{port} cannot be reached ({why})",
            f"start what listens there, open the way to it, or correct {setting}.",
        )
    writer.close()
    return ok(name, f"{host}:{port} answers")
