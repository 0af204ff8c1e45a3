"""Settings: `HOOKLINE_…` variables and `.env`, checked before anything starts.

Seen by the command line, the app and the runtime alone; everything below them gets plain values.
"""

from hookline.settings.kept import (
    ADMIN_KEY_FILE,
    StartSecrets,
    encryption_keys,
    start_secrets,
)
from hookline.settings.knobs import PREFIX, Settings
from hookline.settings.loading import load_settings, source_of

__all__ = [
    "ADMIN_KEY_FILE",
    "PREFIX",
    "Settings",
    "StartSecrets",
    "encryption_keys",
    "load_settings",
    "source_of",
    "start_secrets",
]
