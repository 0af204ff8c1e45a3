"""API keys: made once, shown once, kept as a hash."""

import re
import secrets
from hashlib import sha256
from typing import Final

PREFIX: Final = "hk_"  # tells people, logs and secret scanners what they look at
_RANDOM_BYTES: Final = 32
KEY_FORM: Final = "`hk_` and 32 to 128 letters, digits, - or _"
_FORM: Final = re.compile(r"hk_[A-Za-z0-9_-]{32,128}", re.ASCII)


def new_key() -> str:
    """Return `hk_` and 43 URL-safe characters, 256 bits of them random."""
    return PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def is_key(text: str) -> bool:
    """Whether a text has the form of a key, so that looking it up makes sense."""
    return _FORM.fullmatch(text) is not None


def hash_key(key: str) -> bytes:
    """Return the 32 bytes that are stored and looked up in place of the key.

    Plain SHA-256: a slow, salted hash protects what people make up and reuse, and a key is 256
    random bits, which nobody can search; it is hashed on every request. A look-up by the hash may
    take a time that depends on the hash, which tells nothing of any key: whoever times it chooses
    the key, and hashes of keys that differ in one character have nothing in common.
    """
    return sha256(key.encode(errors="surrogatepass")).digest()
