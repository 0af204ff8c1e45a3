"""Failures of connections and responses, each a kind of the httpx exception for it."""

import ssl
from typing import Final

import httpx

from hookline.domain.deliveries import TlsReason

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


class TargetBlocked(httpx.ConnectError):
    """The policy allows no connection to this target; nothing was connected to."""


class NameUnknown(httpx.ConnectError):
    """The target's name has no address."""


class NotReachable(httpx.ConnectError):
    """Nothing listens there, or host or network cannot be reached."""


class TlsFailed(httpx.ConnectError):
    """No trusted and valid certificate for this name, or no TLS that both sides speak."""

    def __init__(self, message: str, reason: TlsReason) -> None:
        super().__init__(message)
        self.reason = reason


class ConnectionLost(httpx.ReadError):
    """The connection ended before the head of an answer was complete.

    `silent`: not one byte of an answer had come.
    """

    def __init__(self, message: str, *, silent: bool) -> None:
        super().__init__(message)
        self.silent = silent


class NotHttp(httpx.RemoteProtocolError):
    """What came back is not an HTTP/1.x answer, or its head is beyond the bounds."""


def tls_reason(error: ssl.SSLError) -> TlsReason:
    """Say why TLS did not come about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code, TlsReason.INVALID_CERTIFICATE)
    return _HANDSHAKE.get(error.reason or "", TlsReason.HANDSHAKE)
