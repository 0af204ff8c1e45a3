"""Secrets that can be recognised wherever they turn up, and in whatever disguise."""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote

_SHORTEST = 12  # characters of a form; a shorter one could turn up by chance


def mark(kind: str, length: int = 40) -> str:
    """Return a new secret that says what it is: letters and digits alone, so it fits everywhere."""
    beginning = f"mark{kind}"
    return beginning + secrets.token_hex(length)[: length - len(beginning)]


def forms(secret: str) -> set[str]:
    """Return every text that would give the secret away, in lower case.

    Itself, percent-encoded, as hex, and as base64 at each of the three places in a longer text; the
    same of the bytes that it stands for, where it is base64 itself.
    """
    found = {secret, quote(secret, safe="")}
    for raw in _raws(secret):
        found.add(raw.hex())
        found.update(_base64_forms(raw))
    return {form.lower() for form in found if len(form) >= _SHORTEST}


def _raws(secret: str) -> Iterator[bytes]:
    yield secret.encode()
    if secret.endswith("="):  # an encryption key
        yield b64decode(secret)


def _base64_forms(raw: bytes) -> Iterator[str]:
    for before in range(3):
        text = b64encode(b"\0" * before + raw).decode().rstrip("=")
        core = text[(before * 8 + 5) // 6 : -1]  # the ends depend on the neighbours
        yield core
        yield core.replace("+", "-").replace("/", "_")


class LeakSearch:
    """Looks for marked secrets in texts; `found` names each secret and where it was."""

    def __init__(self) -> None:
        self._forms: dict[str, set[str]] = {}
        self.found: set[tuple[str, str]] = set()
        self.searched = 0

    def add(self, **named: str) -> None:
        """Look for these secrets from now on, by name."""
        for name, secret in named.items():
            self._forms[name] = forms(secret)

    def search(self, where: str, text: str, *, allowed: Iterable[str] = ()) -> None:
        """Look for all of them in a text, but for those that may be there."""
        lower = text.lower()
        self.searched += len(text)
        for name in self._forms.keys() - set(allowed):
            if any(form in lower for form in self._forms[name]):
                self.found.add((name, where))
