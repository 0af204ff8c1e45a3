"""A webhook's secret becomes an old one, which signs along until its grace period is over."""

from datetime import timedelta
from typing import Final

from hookline.db.models import Integration as Row
from hookline.errors import Conflict
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
    old = signing_along(row, row.updated_at)
    if len(old) + 2 > _MOST_SIGNING:  # the one that is retired, and the new one
        first = min(until for _, until in old)
        raise Conflict(
            f"{_MOST_SIGNING} secrets sign already; rotate after {first:%Y-%m-%dT%H:%M:%SZ}, when"
            " the first one's grace period is over, or with gracePeriodHours 0, which ends all."
        )
    retired = keyring.seal(open_secret(row, keyring), bound_to=old_secret_binding(row.id))
    row.old_secrets = [retired, *(sealed for sealed, _ in old)]
    row.old_secrets_until = [row.updated_at + grace, *(until for _, until in old)]
