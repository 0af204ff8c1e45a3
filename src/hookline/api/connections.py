"""What routes tell the server about the connection of a request: whose valid key came in on it.

An ASGI extension: where the server offers it, it holds a weak reference to the connection.
"""

from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

from starlette.types import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

EXTENSION: Final = "hookline.connection"


class Connection(Protocol):
    """One connection of the server."""

    def authenticated(self, key: UUID, /) -> None:
        """Note that a request with this valid key came in here."""

    def lasts(self) -> None:
        """Note that the answer has no end of its own: once the client has closed, it ends."""


def note_key(scope: Scope, key: UUID) -> None:
    """Tell the server, where it wants to know, that this request's key is valid."""
    if (connection := _connection_of(scope)) is not None:
        connection.authenticated(key)


def note_lasting(scope: Scope) -> None:
    """Tell the server, where it wants to know, that this request's answer lasts."""
    if (connection := _connection_of(scope)) is not None:
        connection.lasts()


def _connection_of(scope: Scope) -> Connection | None:
    reference: Callable[[], Connection | None] | None
    reference = scope.get("extensions", {}).get(EXTENSION)
    return None if reference is None else reference()
