"""The signatures that receivers check: the PBX's own `x-signature`, and Standard Webhooks.

Both are HMAC-SHA256 over the bytes that are sent. `x-signature` is keyed with the secret's UTF-8
bytes; Standard Webhooks (https://www.standardwebhooks.com) with what the secret is as base64.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

PREFIX: Final = "whsec_"  # before the secret, where the Standard Webhooks libraries take it


class Signer:
    """Signs for one target: its secrets are keyed once, which is half of what signing costs.

    What is keyed goes when the signer goes: nothing here outlives a target's secrets.
    """

    __slots__ = ("_base64", "_text")

    def __init__(self, secrets: Sequence[str]) -> None:
        """Key the current secret, then the older ones that sign along.

        Raises ValueError for a secret that is not base64; those that Hookline makes always are.
        """
        self._text = _keyed(secrets[0])
        self._base64 = tuple(_keyed_as_base64(secret) for secret in secrets)

    def x_signature(self, body: bytes) -> str:
        """Return the current secret's `x-signature`: lower-case hex, without a prefix."""
        return _signed(self._text, body).hex()

    def standard_webhooks(self, message_id: str, timestamp: int, body: bytes) -> str:
        """Return the value of `webhook-signature`: one `v1,<base64>` for each secret, with spaces.

        `timestamp` is in seconds since the epoch, the same as in `webhook-timestamp`.
        """
        content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
        return " ".join(
            f"v1,{b64encode(_signed(keyed, content)).decode()}" for keyed in self._base64
        )


def x_signature(secret: str, body: bytes) -> str:
    """Return lower-case hex, without a prefix."""
    return _signed(_keyed(secret), body).hex()


def _signed(keyed: HMAC, content: bytes) -> bytes:
    state = keyed.copy()  # half the time of keying one: the key takes two blocks of the hash
    state.update(content)
    return state.finalize()


def _keyed(secret: str) -> HMAC:
    return HMAC(secret.encode(), SHA256())


def _keyed_as_base64(secret: str) -> HMAC:
    try:
        return HMAC(b64decode(secret.removeprefix(PREFIX), validate=True), SHA256())
    except binascii.Error as error:
        raise ValueError(
            "The secret is not base64, so it cannot key a webhook-signature."
        ) from error
