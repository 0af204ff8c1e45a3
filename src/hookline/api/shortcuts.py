"""The way to the busiest operations, past every layer that the others are reached through.

FastAPI looks through every route of every router, prepares what dependencies may need, and wraps it
all in layers that each see every message: more work than all that happens to an event. It still
documents these operations, and finds them where no shortcut is laid.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hookline.api.at_once import at_once_of
from hookline.api.headers import ADDED
from hookline.api.problems import answer_for

Operation = Callable[[Request], Awaitable[Response]]

_TYPE: Final = (b"content-type", b"application/json")
_START: Final = b"HTTP/1.1 202 Accepted\r\n" + b"".join(
    b"%b: %b\r\n" % header for header in (_TYPE, *ADDED)
)


class Accepted(Response):
    """A 202, with no more made for it than it needs."""

    def __init__(self, document: dict[str, Any]) -> None:  # Any: a JSON document
        self.status_code = 202
        self.background = None
        self.body = orjson.dumps(document)
        self.raw_headers = [_TYPE, (b"content-length", b"%d" % len(self.body))]

    @property
    def head(self) -> bytes:
        """The status line and all headers."""
        return b"%bcontent-length: %d\r\n" % (_START, len(self.body))


class Shortcuts:
    """Answers the operations that it is given, by method and path; passes everything else on."""

    def __init__(self, app: ASGIApp, operations: Mapping[tuple[str, str], Operation]) -> None:
        self._app = app
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        called = (scope.get("method", ""), scope.get("path", ""))
        operation = self._operations.get(called)
        if operation is None:
            await self._app(scope, receive, send)
            return
        try:
            response = await operation(Request(scope, receive))
        except Exception as error:  # noqa: BLE001 - every error has an answer
            response = answer_for(error)
        if isinstance(response, Accepted):
            at_once = at_once_of(scope)
            if at_once is not None and at_once.answer(response.head, bytes(response.body)):
                return
        response.raw_headers.extend(ADDED)
        await response(scope, receive, send)
