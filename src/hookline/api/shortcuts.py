"""The way to the busiest operations, past the router that the others are found by.

FastAPI looks through every route of every router and prepares what dependencies may need: more
work than all that happens to an event. It still documents these operations, and finds them.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hookline.api.problems import problem_of
from hookline.errors import HooklineError

Operation = Callable[[Request], Awaitable[Response]]


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
        except HooklineError as error:
            response = problem_of(error)
        await response(scope, receive, send)
