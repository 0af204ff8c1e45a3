"""`hookline keys --server`: keys over the REST API, for who has no shell where Hookline runs."""

import sys
from datetime import datetime

from hookline.cli.remote import output
from hookline.cli.remote.api import Object, at, connected
from hookline.cli.terminal import say

MOST_LISTED = 100_000  # keys; the others are the oldest


def create(server: str, said: Object, expires_at: datetime | None, *, as_json: bool) -> None:
    """Make a key and print it, for the only time."""
    new = {name: value for name, value in said.items() if value is not None}
    if expires_at is not None:
        new["expiresAt"] = expires_at.isoformat()
    with connected(server) as api:
        made = api.call("POST", at("keys"), new)
    if as_json:
        output.print_json(made)
    else:
        sys.stdout.write(f"{made['key']}\n")


def show(server: str, *, as_json: bool) -> None:
    """List every key, newest first."""
    with connected(server) as api:
        output.show_list(
            api.items(at("keys"), {}, limit=MOST_LISTED),
            as_json=as_json,
            title="API keys",
            columns=("id", "key", "role", "for", "name", "state", "created", "last used"),
            row=_row,
        )


def revoke(server: str, key_id: str, *, as_json: bool) -> None:
    """Make a key worthless, at once and for good."""
    with connected(server) as api:
        api.call("DELETE", at("keys", key_id))
    if as_json:
        output.print_json({"revoked": key_id})
    else:
        say(f"Revoked {key_id}.")


def _row(key: Object) -> tuple[object, ...]:
    scope = f"pbx {key['pbx']}" if key["pbx"] else f"company {key['company']}"
    expires = key["expiresAt"] is not None and key["state"] == "valid"
    return (
        key["id"],
        f"{key['hint']}…",
        key["role"],
        scope if key["pbx"] or key["company"] else "all",
        key["name"],
        f"until {output.time(key['expiresAt'])}" if expires else key["state"],
        output.time(key["createdAt"]),
        output.time(key["lastUsedAt"]),
    )
