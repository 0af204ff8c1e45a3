"""A certificate authority of our own, and servers' TLS contexts in every state of repair."""

import ssl
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import cast

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_A_YEAR = timedelta(days=365)


class Authority:
    """Issues certificates; `client` trusts them as an operator's own CA file makes it do."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.file = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def server(
        self, *names: str, since: datetime | None = None, until: datetime | None = None
    ) -> ssl.SSLContext:
        """Return a server's context with a certificate for these names or addresses."""
        return _context(self._ca.issue_cert(*names, not_before=since, not_after=until))

    def expired(self, name: str) -> ssl.SSLContext:
        """Return a context whose certificate has been valid."""
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        return self.server(name, since=long_ago - _A_YEAR, until=long_ago)

    def not_yet_valid(self, name: str) -> ssl.SSLContext:
        """Return a context whose certificate will be valid."""
        return self.server(name, since=datetime.now(UTC) + _A_YEAR / 2)

    def self_signed(self) -> ssl.SSLContext:
        """Return a context whose certificate nobody but itself vouches for."""
        return _loaded(self._ca.private_key_pem.bytes() + self._ca.cert_pem.bytes())

    def with_root(self, name: str) -> ssl.SSLContext:
        """Return a context that sends its authority along."""
        leaf = self._ca.issue_cert(name)
        return _loaded(leaf.private_key_and_cert_chain_pem.bytes() + self._ca.cert_pem.bytes())

    def without_intermediate(self, name: str, intermediate: Path | None = None) -> ssl.SSLContext:
        """Return a context that keeps back the intermediate authority that issued for it.

        Its certificate is written to `intermediate`, for somebody who trusts just that.
        """
        below = self._ca.create_child_ca()
        if intermediate is not None:
            below.cert_pem.write_to_path(str(intermediate))
        leaf = below.issue_cert(name)
        return _loaded(leaf.private_key_pem.bytes() + leaf.cert_chain_pems[0].bytes())

    def without_key_identifier(self, name: str) -> ssl.SSLContext:
        """Return a context with a certificate as simple tools make them."""
        return _loaded(self._issued(name, ec.generate_private_key(ec.SECP256R1())))

    def weak(self, name: str) -> ssl.SSLContext:
        """Return a context whose key is too short for anybody today."""
        key = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - as it says
        return _loaded(self._issued(name, key), ciphers="ALL:@SECLEVEL=0")

    def _issued(self, name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
        """Return a key and a certificate for it with nothing but a name, as PEM."""
        ca = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes())
        signer = serialization.load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(ca.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(cast("ec.EllipticCurvePrivateKey", signer), hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        private = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private + certificate.public_bytes(pem)


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _loaded(pem: bytes, *, ciphers: str = "DEFAULT") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(ciphers)
    with NamedTemporaryFile(suffix=".pem") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def until_tls_1_1(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make a server speak nothing newer than TLS 1.1, past Python's warning that this is old."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def asking_for_one(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make a server want a certificate of its clients."""
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def without_a_common_cipher(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make a server speak ciphers only that its own certificate does not go with."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    return context
