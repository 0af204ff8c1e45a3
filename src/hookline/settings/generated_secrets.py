"""The secrets a start works with: those of the settings, or generated ones, kept in a file each.

Never overwritten: a lost encryption key is every encrypted secret lost. Safe when several
processes start at once; all of them get the one that came first.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from hookline.domain.access import is_key, new_key
from hookline.errors import ConfigurationError
from hookline.settings.model import Settings

ADMIN_KEY_FILE = "admin.key"
ENCRYPTION_KEYS_FILE = "encryption.keys"


@dataclass(frozen=True, slots=True)
class StartSecrets:
    """What a start works with; `admin_key_is_new` on the one start that made the key."""

    admin_key: SecretStr
    encryption_keys: tuple[SecretStr, ...]
    admin_key_is_new: bool


def start_secrets(settings: Settings) -> StartSecrets:
    """Return the secrets of the settings, with the embedded ones where the settings have none."""
    admin_key, is_new = settings.admin_key, False
    if admin_key is None:
        path = settings.data_dir / ADMIN_KEY_FILE
        admin_key, is_new = _kept(path, new_key)
        if not is_key(admin_key.get_secret_value()):
            raise ConfigurationError(
                f"{path} holds no API key: restore it from a backup, or remove it, and the next"
                " start makes another."
            )
    return StartSecrets(admin_key, encryption_keys(settings), is_new)


def known_admin_key(settings: Settings) -> str | None:
    """Return the first admin key; None where the first start is still to make one."""
    if settings.admin_key is None and not (settings.data_dir / ADMIN_KEY_FILE).exists():
        return None
    return start_secrets(settings).admin_key.get_secret_value()


def encryption_keys(settings: Settings) -> tuple[SecretStr, ...]:
    """Return the encryption keys alone: what a worker needs."""
    if not settings.encryption_keys:
        return _kept_encryption_keys(settings.data_dir)
    from hookline.security.secrets import KeyRing  # noqa: PLC0415 - 60 ms few commands need

    KeyRing.parse(",".join(key.get_secret_value() for key in settings.encryption_keys))
    return settings.encryption_keys


def _kept_encryption_keys(data_dir: Path) -> tuple[SecretStr, ...]:
    from hookline.security.secrets import (  # noqa: PLC0415 - as above
        KeyRing,
        generate_key,
    )

    path = data_dir / ENCRYPTION_KEYS_FILE
    kept, _ = _kept(path, generate_key)
    try:
        KeyRing.parse(kept.get_secret_value())
    except ConfigurationError:  # its sentence names the variable
        raise ConfigurationError(
            f"{path} does not hold the keys that were kept there: restore it from a backup, since"
            " without them no customer's secret opens."
        ) from None
    return tuple(SecretStr(key) for key in kept.get_secret_value().split(",") if key)


def _kept(path: Path, make: Callable[[], str]) -> tuple[SecretStr, bool]:
    """Return the secret in `path` and whether it was made just now."""
    try:
        is_new = not path.exists() and _create(path, make())
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not ASCII text"
        raise ConfigurationError(
            f"The secret in {path} cannot be read or written ({why}). "
            "Make the file readable for this user, or set HOOKLINE_DATA_DIR to another directory."
        ) from error
    if not text:
        raise ConfigurationError(f"{path} is empty; restore it from a backup.")
    return SecretStr(text), is_new


def _create(path: Path, secret: str) -> bool:
    """Put a complete file in place at once; False where another process was first."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(_data_dir_mode())  # whatever the umask is
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        Path(draft).unlink()
    return True


def _data_dir_mode() -> int:
    """Return 0700; root's own Postgres runs as another user, who must pass but may not list."""
    return 0o711 if os.geteuid() == 0 else 0o700
