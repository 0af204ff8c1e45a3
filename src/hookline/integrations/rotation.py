"""A webhook's secret becomes an old one, which signs along until its grace period is over."""

from contextlib import suppress
from datetime import timedelta
from typing import Final

from hookline.db.models import Integration as Row
from hookline.errors import BrokenSeal, Conflict
from hookline.integrations.sealing import old_secret_binding, open_secret, signing_along
from hookline.security.secrets import KeyRing

_MOST_SIGNING: Final = 5  # secrets, the current one among them: so many signatures a request


def retire_secret(row: Row, keyring: KeyRing, grace: timedelta) -> None:
    """Have the current secret, and the old ones whose time is not over, sign along for their grace.

    Without a grace period no old secret does. Raises Conflict where too many would.
    """
    if not grace:
        row.old_secrets, row.old_secrets_until = [], []
        return
    bound_to = old_secret_binding(row.id)
    old = [pair for pair in signing_along(row, row.updated_at) if keyring.opens(pair[0], bound_to)]
    if len(old) + 2 > _MOST_SIGNING:  # the one that is retired, and the new one
        first = min(until for _, until in old)
        raise Conflict(
            f"{_MOST_SIGNING} secrets sign already; rotate after {first:%Y-%m-%dT%H:%M:%SZ}, when"
            " the first one's grace period is over, or with gracePeriodHours 0, which ends all."
        )
    with suppress(BrokenSeal):  # then the current secret can't sign along
        old.insert(0, (keyring.seal(open_secret(row, keyring), bound_to), row.updated_at + grace))
    row.old_secrets = [sealed for sealed, _ in old]
    row.old_secrets_until = [until for _, until in old]
