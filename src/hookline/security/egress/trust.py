"""Which certificates are believed: the system's authorities, and the operator's own file."""

import ssl
from pathlib import Path

from hookline.errors import ConfigurationError


def client_tls(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return a context that verifies certificate and host name and speaks TLS 1.2 or newer."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"{ca_file} is not a readable file of PEM certificates ({error}); "
                "set EGRESS_CA_FILE to one, or unset it."
            ) from error
    return context
