"""Certificates for one run: an authority that the service trusts, and the receiver's own.

The chain is as long as most are: an intermediate authority signs what the receiver shows, so the
service verifies two signatures in each whole handshake. Keys are of P-256.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_VALID = timedelta(days=1)
_SIGNS_CERTIFICATES = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make(directory: Path, address: str) -> tuple[Path, Path]:
    """Write the authority's certificate, and the chain and key of this address; return both files.

    The second holds a secret: `directory` is the run's own.
    """
    root = _issue("bench root", None, authority=True)
    between = _issue("bench intermediate", root, authority=True)
    leaf = _issue("bench receiver", between, authority=False, address=address)
    trusted, shown = directory / "authority.pem", directory / "receiver.pem"
    trusted.write_bytes(_pem(root))
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    shown.write_bytes(key + _pem(leaf) + _pem(between))
    return trusted, shown


def server_context(shown: Path) -> ssl.SSLContext:
    """Return what a receiver speaks TLS with: tickets for resumption, as servers' defaults are."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown)
    return context


def _issue(name: str, by: Issued | None, *, authority: bool, address: str = "") -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = subject if by is None else by.certificate.subject
    signed_with = key if by is None else by.key
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _VALID)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(  # which Python 3.13 and newer ask for, as they do for what keys are for
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_with.public_key()),
            critical=False,
        )
    )
    if authority:
        made = made.add_extension(_SIGNS_CERTIFICATES, critical=True)
    if address:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        made = made.add_extension(names, critical=False)
    return Issued(made.sign(signed_with, hashes.SHA256()), key)


def _pem(issued: Issued) -> bytes:
    return issued.certificate.public_bytes(Encoding.PEM)
