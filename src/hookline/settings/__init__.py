"""Settings: `HOOKLINE_…` variables and `.env`, checked before anything starts.

Seen by the command line, the app and the runtime alone; everything below them gets plain values.
"""

from hookline.settings.generated_secrets import (
    ADMIN_KEY_FILE,
    StartSecrets,
    encryption_keys,
    known_admin_key,
    start_secrets,
)
from hookline.settings.loading import load_settings, source_of
from hookline.settings.model import PREFIX, Settings

__all__ = [
    "ADMIN_KEY_FILE",
    "PREFIX",
    "Settings",
    "StartSecrets",
    "encryption_keys",
    "known_admin_key",
    "load_settings",
    "source_of",
    "start_secrets",
]
