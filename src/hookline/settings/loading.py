"""Reads the settings, and says in one sentence what is wrong with them."""

import difflib
import os
import re
from pathlib import Path
from typing import Any, Final, Literal

from dotenv.parser import parse_stream  # what pydantic-settings reads .env with
from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource

from hookline.errors import ConfigurationError
from hookline.settings.model import PREFIX, Settings

_DOTENV: Final = str(Settings.model_config["env_file"])

_OF_COMMANDS: Final = {"SERVER", "KEY"}  # what operators' commands call, and with which key

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
        knob = name.removeprefix(PREFIX)
        if knob not in known and knob not in _OF_COMMANDS:
            close = difflib.get_close_matches(knob, known, n=1, cutoff=0.7)
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
        field, *inner = problem["loc"] or ("",)
        if not field:
            wrong.append(message)
            continue
        entry = f" (entry {inner[0] + 1})" if inner and isinstance(inner[0], int) else ""
        wrong.append(f"{PREFIX}{str(field).upper()}{entry}: {message[:1].lower()}{message[1:]}")
    return f"{'; '.join(wrong)}."
