"""A server's REST API as commands call it; what goes wrong is a sentence and an exit code."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn
from urllib.parse import quote, urlsplit

import typer

from hookline import __version__
from hookline.cli import terminal
from hookline.cli.terminal import Object
from hookline.errors import NO_SUCH_ADDRESS

if TYPE_CHECKING:
    import httpx

SERVER: Final = "HOOKLINE_SERVER"
KEY: Final = "HOOKLINE_KEY"
_LOCAL: Final = "http://127.0.0.1:8080"
_TIMEOUT: Final = 30.0  # seconds; a test delivery takes five
_NOT_NAMES: Final = frozenset({"", ".", ".."})  # parts that clients and servers leave out of paths
_PAGE: Final = 200  # items of a page, the most that the API gives

Query = Mapping[str, object]


class ExitCode(IntEnum):
    """What a script learns; docs/cli.md explains each."""

    FAILED = 1  # the server refused, or what was asked for did not work out
    USAGE = 2  # the command, its options or the fields that it sent are wrong
    NOT_FOUND = 3
    UNAUTHORISED = 4  # no valid key, or one that may not do this
    UNREACHABLE = 5  # no server, no Hookline, one of another version or whose database is away


_OF_STATUS: Final[Mapping[int, ExitCode]] = {
    400: ExitCode.USAGE,
    401: ExitCode.UNAUTHORISED,
    403: ExitCode.UNAUTHORISED,
    404: ExitCode.NOT_FOUND,
    422: ExitCode.USAGE,
    502: ExitCode.UNREACHABLE,
    503: ExitCode.UNREACHABLE,
    504: ExitCode.UNREACHABLE,
}

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help=f"Where Hookline is: else {SERVER}, or {_LOCAL}. The key is in {KEY}.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Limit = Annotated[
    int, typer.Option("--limit", "-n", min=1, max=100_000, help="How many at most, newest first.")
]


def timestamp(text: str) -> str:
    """Read `90m`, `12h`, `7d` or `2w` as that long ago; a timestamp stays as it is."""
    if parts := re.fullmatch(r"([1-9]\d{0,3})([mhdw])", text):
        unit = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[parts[2]]
        return (datetime.now(UTC) - timedelta(**{unit: int(parts[1])})).isoformat()
    return text


Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        parser=timestamp,
        metavar="TIME",
        help="From when on: 2026-01-31T12:00:00Z, or 12h ago.",
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until", parser=timestamp, metavar="TIME", help="Until when, written the same way."
    ),
]


class Api:
    """The API of one server, with one key."""

    def __init__(self, client: "httpx.Client") -> None:
        self._client = client

    def get(self, path: str, query: Query | None = None) -> Any:  # noqa: ANN401 - a JSON document
        """Return what a path answers."""
        return self.call("GET", path, query=query)

    def call(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - a JSON document
        """Send a request and return its answer's document, None for an answer without one."""
        asked = {name: value for name, value in (query or {}).items() if value not in (None, [])}
        response = self._client.request(
            method, path, params=_plain(asked), headers=headers, json=document
        )
        if response.status_code == 204:  # noqa: PLR2004 - HTTP's own
            return None
        return _document(response) if response.is_success else _refused(response)

    def items(self, path: str, query: Query, *, limit: int) -> Iterator[Object]:
        """Yield up to `limit` items of a list, page by page."""
        cursor: str | None = None
        while limit > 0:
            size = min(limit, _PAGE)
            page = self.get(path, {**query, "cursor": cursor, "limit": size})
            items = page["items"]
            if not isinstance(items, list) or not all(isinstance(each, dict) for each in items):
                page.fail_without("items")
            yield from items
            limit -= len(items)
            cursor = page["next"]
            if cursor is None:
                return


@contextmanager
def connected(server: str | None) -> Iterator[Api]:
    """Open a server's API for one command."""
    import httpx  # noqa: PLC0415 - 100 ms that `--help` saves

    from hookline.domain.access import KEY_FORM, is_key  # noqa: PLC0415 - as above

    url = server or _setting(SERVER) or _LOCAL
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        fail(ExitCode.USAGE, f"{url} is no server's address: write http://… or https://….")
    key = _setting(KEY)
    if key is None:
        fail(ExitCode.USAGE, f"Set {KEY} to an API key of {url}, hk_….")
    if not is_key(key):
        fail(ExitCode.USAGE, f"What {KEY} holds is no API key: a key is {KEY_FORM}.")
    headers = {"Authorization": f"Bearer {key}", "User-Agent": f"hookline-cli/{__version__}"}
    proxied = not _is_loopback(parts.hostname)  # a proxy does not reach this machine's own
    try:
        with httpx.Client(
            base_url=url.rstrip("/"), headers=headers, timeout=_TIMEOUT, trust_env=proxied
        ) as client:
            yield Api(client)
    except httpx.TimeoutException:
        fail(ExitCode.UNREACHABLE, f"{url} does not answer within {_TIMEOUT:g} seconds.")
    except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:
        why = str(error) or type(error).__name__
        fail(ExitCode.UNREACHABLE, f"{url} cannot be reached: {why.rstrip('.')}.")


def at(*parts: object) -> str:
    """Return a path below /v1 of these parts, whatever characters they hold.

    What would make it the path of something else, such as a variable that is not set, is refused.
    """
    names = [str(part) for part in parts]
    for name in names:
        if name in _NOT_NAMES:
            fail(ExitCode.USAGE, f"{name!r} is no id: write one, as a list shows it.")
    return "/v1/" + "/".join(quote(name, safe="") for name in names)


def fail(code: ExitCode, *lines: str) -> NoReturn:
    """Say what is wrong on standard error, and end the command with this exit code."""
    text = "\n  ".join(lines)
    sys.stderr.write(f"hookline: {terminal.printable(text)}\n")
    raise typer.Exit(code)


def _setting(name: str) -> str | None:
    """Return an environment variable, or else the line of `.env`."""
    if value := os.environ.get(name):
        return value
    from dotenv import dotenv_values  # noqa: PLC0415 - only where it is not in the environment

    return dotenv_values(".env").get(name) or None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _plain(query: Query) -> dict[str, Any]:  # Any: what httpx takes
    """Write booleans as the API reads them."""
    return {n: str(v).lower() if isinstance(v, bool) else v for n, v in query.items()}


class _Answer(dict[str, Any]):  # Any: a JSON document
    """An object of an answer; a field that it lacks ends the command with a sentence."""

    def __missing__(self, name: str) -> NoReturn:
        self.fail_without(name)

    def fail_without(self, name: str) -> NoReturn:
        """Say that a field is not there, or not as this version knows it."""
        told = f"The server's answer has no `{name}` as version {__version__} knows it"
        fail(ExitCode.UNREACHABLE, f"{told}: is it Hookline, and of this version?")


def _document(response: "httpx.Response") -> _Answer:
    try:
        document = response.json(object_hook=_Answer)
    except ValueError:
        document = None
    if not isinstance(document, _Answer):
        fail(ExitCode.UNREACHABLE, f"{response.url} answers, but is no Hookline.")
    return document


def _refused(response: "httpx.Response") -> NoReturn:
    lines = _problem(response)
    if lines is None:
        status = f"{response.status_code} {response.reason_phrase}".strip()
        told = f"{response.url} answers {status}, and not as Hookline does."
        if response.has_redirect_location:
            told += f" It leads to {response.headers['location']}: name that server."
        fail(ExitCode.UNREACHABLE, told)
    if lines == [NO_SUCH_ADDRESS] and b"%2F" not in response.url.raw_path:  # of an odd id
        told = f"{response.url} is not known there: is it Hookline {__version__} or later,"
        fail(ExitCode.UNREACHABLE, f"{told} and its address without a path?")
    fail(_OF_STATUS.get(response.status_code, ExitCode.FAILED), *lines)


def _problem(response: "httpx.Response") -> list[str] | None:
    """Return what Hookline says of a call that it refuses; None for an answer of something else."""
    try:
        problem = response.json()
        if not problem["type"].startswith("/problems/"):
            return None
        if wrong := problem.get("errors"):
            told = [f"{each['path']}: {each['message']}" for each in wrong]
            return ["The server refuses this:", *told]
        return [str(problem["detail"])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
