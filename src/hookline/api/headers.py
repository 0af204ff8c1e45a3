"""What every answer under /v1 says to browsers and proxies: keep no copy, guess no type."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ADDED = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class NeverStored:
    """Keeps secrets and other tenants' data out of caches on the way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with two more headers."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *ADDED]
            await send(message)

        await self._app(scope, receive, adding)
