"""Reads the settings, makes missing secrets, and says in one sentence what is wrong.

Secrets are kept in a file and never overwritten: a lost encryption key is every encrypted secret
lost. Safe when several processes start at once; all of them get the one that came first.
"""

import difflib
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from dotenv.parser import parse_stream  # what pydantic-settings reads .env with
from pydantic import SecretStr, ValidationError
from pydantic_settings import DotEnvSettingsSource

from hookline.errors import ConfigurationError
from hookline.security.keys import is_key, new_key
from hookline.settings.model import PREFIX, Settings

ADMIN_KEY_FILE = "admin.key"
ENCRYPTION_KEYS_FILE = "encryption.keys"
_DOTENV: Final = str(Settings.model_config["env_file"])

_OF_COMMANDS: Final = {"SERVER", "KEY"}  # what operators' commands call, and with which key

_PLAIN: Final = {  # what pydantic says of types in its own terms
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_parsing": "must be true or false",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt:.12g}",
    "greater_than_equal": "must be at least {ge:.12g}",
    "less_than_equal": "must be at most {le:.12g}",
}

# A Kubernetes Service named "hookline" puts such variables into every pod beside it.
_SERVICE_LINK = re.compile(r"HOOKLINE_(SERVICE_(HOST|PORT\w*)|PORT_\d+_\w+)").fullmatch


def load_settings(**chosen: Any) -> Settings:  # noqa: ANN401 - each value is validated by its field
    """Read the environment and `.env`; `chosen` wins over both.

    Raises ConfigurationError with a sentence that names the variables and says what to set.
    """
    _refuse_an_unreadable_dotenv()
    _refuse_unknown_names()
    try:
        return Settings(**chosen)
    except ValidationError as error:
        raise ConfigurationError(_sentence(error)) from None  # its text could quote a secret


def source_of(field: str) -> Literal["environment", ".env", "default"]:
    """Tell where a setting's value comes from."""
    name = f"{PREFIX}{field}".upper()
    if any(key.upper() == name and value for key, value in os.environ.items()):
        return "environment"
    return ".env" if name in _dotenv() else "default"


def _refuse_an_unreadable_dotenv() -> None:
    """See that every line of `.env` means something; a line may hold a secret, so none is shown."""
    path = Path(_DOTENV)
    if not path.is_file():
        return
    try:
        with path.open(encoding="utf-8") as file:
            wrong = [line.original.line for line in parse_stream(file) if line.error]
    except OSError as error:
        raise ConfigurationError(f"{_DOTENV} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{_DOTENV} is not UTF-8 text; save it as such.") from None
    if wrong:
        raise ConfigurationError(
            f"Line {wrong[0]} of {_DOTENV} cannot be read: write NAME=value, and close each quote."
        )


def _refuse_unknown_names() -> None:
    known = {field.upper() for field in Settings.model_fields}
    for given in (*os.environ, *_dotenv()):
        name = given.upper()
        if not name.startswith(PREFIX) or _SERVICE_LINK(name):
            continue
        setting = name.removeprefix(PREFIX)
        if setting not in known and setting not in _OF_COMMANDS:
            close = difflib.get_close_matches(setting, known, n=1, cutoff=0.7)
            advice = f"did you mean {PREFIX}{close[0]}?" if close else "see `hookline settings`."
            raise ConfigurationError(f"{given} is not one of Hookline's settings; {advice}")


def _dotenv() -> list[str]:
    """Return the names that `.env` sets."""
    found = DotEnvSettingsSource(Settings, env_ignore_empty=True).env_vars
    return [name.upper() for name, value in found.items() if value]


def _sentence(error: ValidationError) -> str:
    """Say what is wrong, naming variables, never values."""
    wrong = []
    for problem in error.errors(include_url=False, include_input=False):
        message = problem["msg"].removeprefix("Value error, ")
        if plain := _PLAIN.get(problem["type"]):
            message = plain.format(**problem.get("ctx", {}))
        field, *inner = problem["loc"] or ("",)
        if not field:
            wrong.append(message)
            continue
        entry = f" (entry {inner[0] + 1})" if inner and isinstance(inner[0], int) else ""
        wrong.append(f"{PREFIX}{str(field).upper()}{entry}: {message[:1].lower()}{message[1:]}")
    return f"{'; '.join(wrong)}."


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
