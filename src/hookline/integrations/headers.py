"""Which headers a customer may add to every request of a webhook."""

import re
from collections.abc import Iterator, Mapping

from hookline.errors import FieldProblem

_MOST = 20  # headers; receivers of the field use one to three
_LONGEST_NAME = 128  # characters
_LONGEST_VALUE = 4096  # characters: room for a token; servers take 8 KiB of head in all
_MOST_IN_ALL = 7168  # characters of names and values, so that Hookline's own still fit in 8 KiB

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, field names
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?|")  # visible ASCII, no line breaks

_RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-signature",
    }
)
_RESERVED_BEGINNINGS = ("webhook-", "x-hookline-", "proxy-", ":")
# CGI and WSGI hand headers over as variables: all but letters and digits become `_`.
_FOLDED_AWAY = re.compile(r"[^a-z0-9]")


def header_problems(headers: Mapping[str, str]) -> Iterator[FieldProblem]:
    """Yield what is wrong with these headers, each with the path of its header."""
    if len(headers) > _MOST:
        yield FieldProblem("transmission.headers", f"At most {_MOST} headers are possible.")
        return
    if sum(len(name) + len(value) for name, value in headers.items()) > _MOST_IN_ALL:
        message = f"All headers together have at most {_MOST_IN_ALL} characters."
        yield FieldProblem("transmission.headers", message)
    seen: set[str] = set()
    for name, value in headers.items():
        path = f"transmission.headers.{name[:_LONGEST_NAME]}"
        if problem := _name_problem(name) or _value_problem(value):
            yield FieldProblem(path, problem)
        elif _folded(name) in seen:
            message = "This header is named twice; case, `-` and `_` make no difference."
            yield FieldProblem(path, message)
        seen.add(_folded(name))


def _name_problem(name: str) -> str | None:
    if len(name) > _LONGEST_NAME or not _TOKEN.fullmatch(name):
        return f"A header's name is a word of at most {_LONGEST_NAME} letters, digits and hyphens."
    lower = name.lower()
    if lower in _RESERVED or lower.startswith(_RESERVED_BEGINNINGS):
        return "Hookline or HTTP itself sets this header; choose another name."
    folded = _folded(lower)
    if folded in _RESERVED or folded.startswith(_RESERVED_BEGINNINGS):
        return (
            "Many receivers (CGI, WSGI, PHP) take this header for one that Hookline or HTTP itself "
            f"sets, {folded}; choose another name."
        )
    return None


def _folded(name: str) -> str:
    """Return the name as receivers see it that keep nothing but letters and digits."""
    return _FOLDED_AWAY.sub("-", name.lower())


def _value_problem(value: str) -> str | None:
    if len(value) > _LONGEST_VALUE:
        return f"A header's value has at most {_LONGEST_VALUE} characters."
    if not _VALUE.fullmatch(value):
        return "A header's value has printable ASCII characters, and no space at either end."
    return None
