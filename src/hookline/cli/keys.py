"""`hookline keys`: make, list and revoke API keys, in the database or over a server's API.

`rotate-encryption` moves secrets at rest to the first of the encryption keys.
"""

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

import typer

from hookline.cli import terminal
from hookline.cli.remote.api import AsJson, at, connected
from hookline.cli.terminal import Object
from hookline.domain.access import Role, check_scope, check_texts
from hookline.errors import DecryptionFailed, NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hookline.integrations.encryption import Reencrypted
    from hookline.integrations.keys import KeyRecord, KeyService
    from hookline.settings import Settings


app = typer.Typer(help="API keys, and the keys that encrypt secrets at rest.", no_args_is_help=True)

Answer = TypeVar("Answer")
Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Ask this server, with the admin key in HOOKLINE_KEY; else the settings' database.",
    ),
]
_BEFORE = (
    "Every running process must have that key in front already: restart those that have not, or"
    " they go on encrypting with the old one."
)
_AFTER = (
    "Once every process runs with the first key of HOOKLINE_ENCRYPTION_KEYS in front, and backups"
    " that still need them have expired, the keys behind it may be removed."
)
_MOST_LISTED = 100_000  # keys; the others are the oldest
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"([1-9]\d{0,3})([mhdw])").fullmatch  # at most 191 years


def _duration(text: str) -> timedelta:
    """Read `90m`, `12h`, `30d` or `8w`."""
    parts = _DURATION(text)
    if parts is None:
        raise typer.BadParameter("write a time as 90m, 12h, 30d or 8w")
    return timedelta(**{_UNITS[parts[2]]: int(parts[1])})


@app.command()
def create(  # noqa: PLR0913 - each is an option of the command
    *,
    role: Annotated[
        Role, typer.Option(help="admin: everything; manager: one tenant; ingest: sends events.")
    ],
    pbx: Annotated[str | None, typer.Option(help="Bind it to this PBX.")] = None,
    company: Annotated[str | None, typer.Option(help="Bind it to this company.")] = None,
    name: Annotated[str | None, typer.Option(help="What it is for, for the list.")] = None,
    expires_in: Annotated[
        timedelta | None,
        typer.Option(parser=_duration, metavar="TIME", help="90m, 12h, 30d or 8w; else never."),
    ] = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it. It is shown this once and kept as a hash."""
    check_texts(pbx=pbx, company=company, name=name)  # before a database is started for nothing
    check_scope(role, pbx=pbx, company=company)
    expires_at = None if expires_in is None else datetime.now(UTC) + expires_in
    if server is not None:
        said = {"role": role.value, "pbx": pbx, "company": company, "name": name}
        _create_there(server, said, expires_at, as_json=as_json)
        return
    made = _run(
        lambda keys: keys.create(role, pbx=pbx, company=company, name=name, expires_at=expires_at)
    )
    if as_json:
        terminal.print_json({**_document(made.record), "key": made.key})
    else:
        sys.stdout.write(f"{made.key}\n")


@app.command("list")
def show(*, server: Server = None, as_json: AsJson = False) -> None:
    """List every key, newest first; none can be shown again."""
    if server is not None:
        _show_there(server, as_json=as_json)
        return
    if as_json:
        terminal.print_json([_document(record) for record in _run(lambda keys: keys.all())])
        return
    columns = ("id", "key", "role", "for", "name", "state", "created", "last used")
    terminal.table("API keys", columns, [_row(record) for record in _run(lambda keys: keys.all())])


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id, as `keys list` shows it.")],
    *,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Make a key worthless, at once and for good."""
    if server is not None:
        _revoke_there(server, key_id, as_json=as_json)
        return
    record = _run(lambda keys: keys.revoke(_id(key_id)))
    if as_json:
        terminal.print_json({"revoked": str(record.id)})
    else:
        terminal.say(f"Revoked {record.id} ({record.hint}…).")


def _run(ask: "Callable[[KeyService], Awaitable[Answer]]") -> Answer:
    """Ask the key service of the settings' database one thing."""
    from hookline.settings import known_admin_key, load_settings  # noqa: PLC0415

    settings = load_settings()

    async def answered() -> Answer:
        from hookline.cli.database import records  # noqa: PLC0415
        from hookline.integrations.keys import KeyService  # noqa: PLC0415
        from hookline.integrations.revision import Transactions  # noqa: PLC0415

        async with records(settings) as engine:
            first = known_admin_key(settings)
            return await ask(KeyService(Transactions(engine), settings_key=first))

    return asyncio.run(answered())


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"There is no key {text[:40]!a}.") from None


def _document(record: "KeyRecord") -> dict[str, object]:
    """Return what the REST API says of a key."""
    return {
        "id": str(record.id),
        "hint": record.hint,
        "role": record.role.value,
        "pbx": record.pbx,
        "company": record.company,
        "name": record.name,
        "state": record.state(datetime.now(UTC)).value,
        "createdAt": _timestamp(record.created_at),
        "expiresAt": _timestamp(record.expires_at),
        "revokedAt": _timestamp(record.revoked_at),
        "lastUsedAt": _timestamp(record.last_used_at),
    }


def _timestamp(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _row(record: "KeyRecord") -> tuple[str, ...]:
    scope = f"pbx {record.pbx}" if record.pbx else f"company {record.company}"
    return (
        str(record.id),
        f"{record.hint}…",
        record.role.value,
        "all" if record.pbx is record.company is None else scope,
        terminal.printable(record.name or "–"),
        _state(record),
        _shown_time(record.created_at),
        _shown_time(record.last_used_at),
    )


def _state(record: "KeyRecord") -> str:
    state = record.state(datetime.now(UTC)).value
    expires = record.expires_at is not None and state == "valid"
    return f"until {_shown_time(record.expires_at)}" if expires else state


def _shown_time(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z"


@app.command("rotate-encryption")
def rotate_encryption(*, as_json: AsJson = False) -> None:
    """Re-encrypt every secret with the first of HOOKLINE_ENCRYPTION_KEYS, while services run.

    Put a new key in front of the old ones everywhere, restart, run this, then remove the old ones.
    It can be stopped and run again at any time.
    """
    from hookline.settings import load_settings  # noqa: PLC0415

    _report(asyncio.run(_rotate(load_settings(), as_json=as_json)), as_json=as_json)


async def _rotate(settings: "Settings", *, as_json: bool) -> "Reencrypted":
    from hookline.cli.database import records  # noqa: PLC0415
    from hookline.integrations.encryption import Reencryption  # noqa: PLC0415
    from hookline.integrations.revision import Transactions  # noqa: PLC0415
    from hookline.security.secrets import KeyRing  # noqa: PLC0415
    from hookline.settings import encryption_keys  # noqa: PLC0415

    keys = ",".join(key.get_secret_value() for key in encryption_keys(settings))
    async with records(settings) as engine:
        reencryption = Reencryption(Transactions(engine), KeyRing.parse(keys))
        if as_json:
            return await reencryption.run(lambda _: None)
        waiting = await reencryption.waiting()
        terminal.say(f"Integrations with secrets under another than the first key: {waiting}.")
        if waiting:
            terminal.say(_BEFORE)
        return await reencryption.run(
            lambda done: terminal.say(f"Re-encrypted: {done} of {waiting}.")
        )


def _report(reencrypted: "Reencrypted", *, as_json: bool) -> None:
    """Say whether the old keys may go."""
    if reencrypted.broken:
        named = ", ".join(reencrypted.broken)
        raise DecryptionFailed(
            f"The secrets of these integrations cannot be decrypted: {named}. Put the key that"
            " encrypted them back into HOOKLINE_ENCRYPTION_KEYS and run this again, or give"
            " them new secrets."
        )
    if as_json:
        terminal.print_json({"reencrypted": reencrypted.done})
    else:
        terminal.say(f"Every secret is encrypted with the first key. {_AFTER}")


def _create_there(server: str, said: Object, expires_at: datetime | None, *, as_json: bool) -> None:
    """Make a key and print it, for the only time."""
    new = {name: value for name, value in said.items() if value is not None}
    if expires_at is not None:
        new["expiresAt"] = expires_at.isoformat()
    with connected(server) as api:
        made = api.call("POST", at("keys"), new)
    if as_json:
        terminal.print_json(made)
    else:
        sys.stdout.write(f"{made['key']}\n")


def _show_there(server: str, *, as_json: bool) -> None:
    """List every key, newest first."""
    with connected(server) as api:
        terminal.show_list(
            api.items(at("keys"), {}, limit=_MOST_LISTED),
            as_json=as_json,
            title="API keys",
            columns=("id", "key", "role", "for", "name", "state", "created", "last used"),
            row=_row_there,
        )


def _revoke_there(server: str, key_id: str, *, as_json: bool) -> None:
    """Make a key worthless, at once and for good."""
    with connected(server) as api:
        api.call("DELETE", at("keys", key_id))
    if as_json:
        terminal.print_json({"revoked": key_id})
    else:
        terminal.say(f"Revoked {key_id}.")


def _row_there(key: Object) -> tuple[object, ...]:
    scope = f"pbx {key['pbx']}" if key["pbx"] else f"company {key['company']}"
    expires = key["expiresAt"] is not None and key["state"] == "valid"
    return (
        key["id"],
        f"{key['hint']}…",
        key["role"],
        "all" if key["pbx"] is key["company"] is None else scope,
        key["name"],
        f"until {terminal.time(key['expiresAt'])}" if expires else key["state"],
        terminal.time(key["createdAt"]),
        terminal.time(key["lastUsedAt"]),
    )
