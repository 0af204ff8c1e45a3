"""Reads the settings, checks them against each other, and says in one sentence what is wrong."""

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

from dotenv.parser import parse_stream  # what pydantic-settings reads .env with
from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource

from hookline.errors import ConfigurationError
from hookline.settings.model import PREFIX, Settings

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
        settings = Settings(**chosen)
    except ValidationError as error:
        raise ConfigurationError(_sentence(error)) from None  # its text could quote a secret
    if wrong := list(_contradictions(settings)):
        raise ConfigurationError(f"{'; '.join(wrong)}.")
    return settings


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


def _contradictions(chosen: Settings) -> Iterator[str]:
    """Tell what in these settings cannot work together."""
    yield from _database(chosen)
    yield from _bounds(chosen)
    if chosen.egress_ca_file is not None and not chosen.egress_ca_file.is_file():
        yield (
            f"HOOKLINE_EGRESS_CA_FILE names {chosen.egress_ca_file}, which is not a file:"
            " set it to a PEM file"
        )


def _database(chosen: Settings) -> Iterator[str]:
    if chosen.embedded and not chosen.embedded_postgres:
        yield (
            "Set HOOKLINE_DATABASE_URL to a PostgreSQL 15 or newer;"
            " HOOKLINE_EMBEDDED_POSTGRES is off, so there is no bundled one to use"
        )
    if not chosen.embedded and not chosen.encryption_keys:
        yield (
            "Set HOOKLINE_ENCRYPTION_KEYS, which HOOKLINE_DATABASE_URL requires, to the same value"
            " in every process; `openssl rand -base64 32` makes one. Keep it: without"
            " it the secrets in the database are lost"
        )


def _bounds(chosen: Settings) -> Iterator[str]:
    yield from _retries(chosen)
    if chosen.max_event_bytes > chosen.max_batch_bytes:
        yield (
            "HOOKLINE_MAX_EVENT_BYTES must not exceed HOOKLINE_MAX_BATCH_BYTES:"
            " a batch of one event must fit"
        )
    if chosen.max_batch_bytes > chosen.max_body_memory:
        yield (
            "HOOKLINE_MAX_BATCH_BYTES must not exceed HOOKLINE_MAX_BODY_MEMORY:"
            " a whole batch must fit"
        )
    kept = chosen.retention_days * 24
    if chosen.duplicate_window_hours > kept:
        yield (
            f"HOOKLINE_DUPLICATE_WINDOW_HOURS must not exceed the {kept} hours of"
            " HOOKLINE_RETENTION_DAYS: an event that is gone cannot be compared with"
        )


def _retries(chosen: Settings) -> Iterator[str]:
    delays = {"RETRY_DELAYS": chosen.retry_delays}
    if chosen.retry_delays_analytics != chosen.retry_delays:
        delays["RETRY_DELAYS_ANALYTICS"] = chosen.retry_delays_analytics
    for name, entries in delays.items():
        if len(entries) > chosen.max_retries:
            yield (
                f"HOOKLINE_{name} has {len(entries)} entries and HOOKLINE_MAX_RETRIES allows"
                f" {chosen.max_retries}: shorten the one or raise the other"
            )
