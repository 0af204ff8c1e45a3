"""Which certificates are trusted, and why one is not."""

import ssl
from pathlib import Path
from typing import Final

from hookline.domain.deliveries import TlsReason
from hookline.errors import ConfigurationError

# Python's own defaults differ: 3.13 set STRICT, which refuses certificates that every browser takes
# (without a key identifier, say), and PARTIAL_CHAIN, by which an operator may trust an intermediate
# authority or a single certificate.
_VERIFY_FLAGS: Final = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST | ssl.VerifyFlags(
    ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
)
_CERTIFICATE: Final = {  # OpenSSL's X509_V_ERR_…
    9: TlsReason.NOT_YET_VALID,
    10: TlsReason.EXPIRED,
    18: TlsReason.SELF_SIGNED,
    19: TlsReason.UNKNOWN_ISSUER,
    20: TlsReason.INCOMPLETE_CHAIN,
    21: TlsReason.INCOMPLETE_CHAIN,
    23: TlsReason.REVOKED,
    62: TlsReason.WRONG_HOST,
    64: TlsReason.WRONG_HOST,  # of an address
}
_HANDSHAKE: Final = {  # OpenSSL's reasons, which its versions spell in more than one way
    "HTTP_REQUEST": TlsReason.NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": TlsReason.NOT_TLS,
    "RECORD_LAYER_FAILURE": TlsReason.NOT_TLS,
    "WRONG_VERSION_NUMBER": TlsReason.NOT_TLS,
    "TLSV1_ALERT_PROTOCOL_VERSION": TlsReason.PROTOCOL_VERSION,
    "UNSUPPORTED_PROTOCOL": TlsReason.PROTOCOL_VERSION,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": TlsReason.CLIENT_CERTIFICATE,
}


def client_tls(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return a context that verifies certificate and host name and speaks TLS 1.2 or newer.

    Trusted are the system's authorities and the operator's own file, under any version of Python.
    """
    context = ssl.create_default_context()
    context.verify_flags = _VERIFY_FLAGS
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


def tls_reason(error: ssl.SSLError) -> TlsReason:
    """Say why TLS did not come about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code, TlsReason.INVALID_CERTIFICATE)
    return _HANDSHAKE.get(error.reason or "", TlsReason.HANDSHAKE)
