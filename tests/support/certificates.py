"""A certificate authority of our own, and servers' TLS contexts in every state of repair."""

import ssl
import warnings
from datetime import UTC, datetime
from pathlib import Path

import trustme


class Authority:
    """Issues certificates; `client` trusts them as an operator's own CA file makes it do."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.file = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def server(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        """Return a server's context with a certificate for these names or addresses."""
        yesterday = datetime(2020, 1, 1, tzinfo=UTC) if expired else None
        certificate = self._ca.issue_cert(
            *names, not_before=yesterday and yesterday.replace(year=2019), not_after=yesterday
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context


def until_tls_1_1(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make a server speak nothing newer than TLS 1.1, past Python's warning that this is old."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context
