"""What every answer says to browsers and to proxies on the way.

Guess no type; show nothing in another page's frame; load nothing, unless the answer is a page that
says what it needs; tell no other site where a reader came from. Of the API's answers: keep no copy.
"""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

_NO_GUESS: Final = (b"x-content-type-options", b"nosniff")
_NO_PAGE: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
ADDED: Final[Headers] = [(b"cache-control", b"no-store"), _NO_GUESS, _NO_PAGE]
"""What is added to every answer under /v1."""
_TO_PAGES: Final[Headers] = [_NO_GUESS, _NO_PAGE, (b"referrer-policy", b"no-referrer")]


class SafeAnswers:
    """Adds to each answer what its reader has to know."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with more headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        of_api = scope["path"].startswith("/v1/")

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                message["headers"] = [*own, *ADDED] if of_api else _completed(own)
            await send(message)

        await self._app(scope, receive, adding)


def _completed(own: Headers) -> Headers:
    """Return a page's own headers, and of ours those that it does not set."""
    named = {name.lower() for name, _ in own}
    return [*own, *(header for header in _TO_PAGES if header[0] not in named)]
