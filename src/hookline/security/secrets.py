"""Encryption of secrets at rest, AES-256-GCM under a ring of keys, each bound to its row.

What is kept is version (1 byte), key id (8), nonce (12), ciphertext and tag (16 more than the
text's UTF-8). Version, key id and the row are authenticated: what is copied to another row cannot
be decrypted there. Random nonces are safe for 2^32 encryptions a key (NIST SP 800-38D).
"""

import binascii
import os
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hookline.errors import ConfigurationError, DecryptionFailed

_VERSION: Final = b"\x01"
_KEY_BYTES: Final = 32
_KEY_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12  # 96 bits, GCM's own size
_HEADER_BYTES: Final = len(_VERSION) + _KEY_ID_BYTES
_ADVICE: Final = "make one with: openssl rand -base64 32"


def generate_key() -> str:
    """Return a new random key in the form that `KeyRing.parse` takes."""
    return b64encode(os.urandom(_KEY_BYTES)).decode()


class KeyRing:
    """The keys that decrypt secrets; the first one encrypts.

    To rotate, put a new key in front, re-encrypt every secret and take the old key away.
    """

    __slots__ = ("_ciphers", "_current")

    def __init__(self, keys: list[bytes]) -> None:
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """Read comma-separated base64 keys of 32 bytes; ConfigurationError says what is wrong."""
        keys = [_parse_key(part.strip(), place) for place, part in enumerate(text.split(","), 1)]
        if len(set(keys)) < len(keys):
            raise ConfigurationError("HOOKLINE_ENCRYPTION_KEYS names the same key twice.")
        return cls(keys)

    def encrypt(self, plaintext: str, bound_to: str) -> bytes:
        """Encrypt a text for one place, such as `integrations/s95eum/secret`, and no other."""
        header = _VERSION + self._current
        nonce = os.urandom(_NONCE_BYTES)
        encrypted = self._ciphers[self._current].encrypt(
            nonce, plaintext.encode(), header + bound_to.encode()
        )
        return header + nonce + encrypted

    def decrypt(self, encrypted: bytes, bound_to: str) -> str:
        """Return the text that was encrypted for this place.

        Raises DecryptionFailed: the key is not on the ring, the place is another or a bit is wrong.
        """
        header, nonce = encrypted[:_HEADER_BYTES], encrypted[_HEADER_BYTES:][:_NONCE_BYTES]
        if header[:1] != _VERSION or len(nonce) < _NONCE_BYTES:
            raise DecryptionFailed("An encrypted secret is damaged: it does not begin like one.")
        cipher = self._ciphers.get(header[1:])
        if cipher is None:
            raise DecryptionFailed(
                "A secret was encrypted with a key that is not among HOOKLINE_ENCRYPTION_KEYS; "
                "add that key behind the first one."
            )
        try:
            opened = cipher.decrypt(
                nonce, encrypted[_HEADER_BYTES + _NONCE_BYTES :], header + bound_to.encode()
            )
        except InvalidTag as error:
            raise DecryptionFailed(
                "An encrypted secret is damaged or belongs to another row."
            ) from error
        return opened.decode()

    def decrypts(self, encrypted: bytes, bound_to: str) -> bool:
        """Whether `decrypt` would return a text."""
        try:
            self.decrypt(encrypted, bound_to)
        except DecryptionFailed:
            return False
        return True

    @property
    def current_mark(self) -> bytes:
        """What everything begins with that the first key encrypted; it tells nothing of the key."""
        return _VERSION + self._current

    def encrypted_with_current(self, encrypted: bytes) -> bool:
        """Whether the first key encrypted this; if not, it wants to be re-encrypted."""
        return encrypted[:_HEADER_BYTES] == self.current_mark

    def __repr__(self) -> str:
        return f"KeyRing({len(self._ciphers)} keys, first {self._current.hex()})"


def _key_id(key: bytes) -> bytes:
    return sha256(b"hookline key id\x00" + key).digest()[:_KEY_ID_BYTES]


def _parse_key(text: str, place: int) -> bytes:
    if not text:
        raise ConfigurationError(f"Key {place} of HOOKLINE_ENCRYPTION_KEYS is empty; {_ADVICE}")
    try:
        key = b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigurationError(
            f"Key {place} of HOOKLINE_ENCRYPTION_KEYS is not base64; {_ADVICE}"
        ) from error
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(
            f"Key {place} of HOOKLINE_ENCRYPTION_KEYS has {len(key)} bytes instead of "
            f"{_KEY_BYTES}; {_ADVICE}"
        )
    return key
