"""Security headers of every response, for browsers and for proxies on the way.

No sniffed types, no framing, nothing loaded unless the response is a page with a policy of its own,
no referrer to other sites. Of the API's responses: keep no copy.
"""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

_NO_SNIFF: Final = (b"x-content-type-options", b"nosniff")
_NO_PAGE: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
OF_API: Final[Headers] = [(b"cache-control", b"no-store"), _NO_SNIFF, _NO_PAGE]
_OF_PAGES: Final[Headers] = [_NO_SNIFF, _NO_PAGE, (b"referrer-policy", b"no-referrer")]


class SecurityHeaders:
    """Middleware that adds the headers to each response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with more headers."""
        of_api = scope["path"].startswith("/v1/")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                message["headers"] = [*own, *OF_API] if of_api else _completed(own)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _completed(own: Headers) -> Headers:
    """Return a page's own headers, and of ours those that it does not set."""
    named = {name.lower() for name, _ in own}
    return [*own, *(header for header in _OF_PAGES if header[0] not in named)]
