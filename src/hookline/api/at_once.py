"""What our own server and the busiest operations spare each other: whole bodies, whole answers.

An ASGI extension (https://asgi.readthedocs.io/en/latest/extensions.html): where the server of a
request offers it, a body that is there is taken without waiting, and an answer goes out in a piece.
"""

from typing import Final, Protocol

from starlette.types import Scope

EXTENSION: Final = "hookline.at_once"


class AtOnce(Protocol):
    """One request and its answer."""

    def body(self) -> bytes | None:
        """Return the body if all of it is there; None: it has to be waited for."""

    def answer(self, head: bytes, body: bytes) -> bool:
        """Send an answer; False: nothing was sent, and it has to go as usual.

        `head` is the status line and headers, the body's length among them, without the empty line.
        """


def at_once_of(scope: Scope) -> AtOnce | None:
    """Return the extension, where the server has it."""
    found: AtOnce | None = scope.get("extensions", {}).get(EXTENSION)
    return found
