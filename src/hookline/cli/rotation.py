"""`hookline keys rotate-encryption`: secrets at rest move to the first of the encryption keys."""

import asyncio
from typing import TYPE_CHECKING

from hookline.cli import terminal
from hookline.errors import BrokenSeal

if TYPE_CHECKING:
    from hookline.integrations.encryption import Reencrypted
    from hookline.settings import Settings

_BEFORE = (
    "Every running process must have that key in front already: restart those that have not, or"
    " they go on sealing with the old one."
)
_AFTER = (
    "Once every process runs with the first key of HOOKLINE_ENCRYPTION_KEYS in front, and backups"
    " that still need them have expired, the keys behind it may be removed."
)


def rotate_encryption() -> None:
    """Seal every secret anew with the first of HOOKLINE_ENCRYPTION_KEYS, while services run.

    Put a new key in front of the old ones everywhere, restart, run this, then remove the old ones.
    It can be stopped and run again at any time.
    """
    from hookline.settings import load_settings  # noqa: PLC0415

    _report(asyncio.run(_rotate(load_settings())))


async def _rotate(settings: "Settings") -> "Reencrypted":
    from hookline.cli.database import records  # noqa: PLC0415
    from hookline.integrations.encryption import Reencryption  # noqa: PLC0415
    from hookline.integrations.revision import Transactions  # noqa: PLC0415
    from hookline.security.secrets import KeyRing  # noqa: PLC0415
    from hookline.settings import encryption_keys  # noqa: PLC0415

    keys = ",".join(key.get_secret_value() for key in encryption_keys(settings))
    async with records(settings) as engine:
        reencryption = Reencryption(Transactions(engine), KeyRing.parse(keys))
        waiting = await reencryption.waiting()
        terminal.say(f"Integrations with secrets under another than the first key: {waiting}.")
        if waiting:
            terminal.say(_BEFORE)
        return await reencryption.run(
            lambda done: terminal.say(f"Sealed anew: {done} of {waiting}.")
        )


def _report(reencrypted: "Reencrypted") -> None:
    """Say whether the old keys may go."""
    if reencrypted.broken:
        named = ", ".join(reencrypted.broken)
        raise BrokenSeal(
            f"The secrets of these integrations do not open: {named}. Put the key that sealed them"
            " back into HOOKLINE_ENCRYPTION_KEYS and run this again, or give them new secrets."
        )
    terminal.say(f"Every secret is sealed with the first key. {_AFTER}")
