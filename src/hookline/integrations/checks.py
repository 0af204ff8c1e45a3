"""Checks what the fields of an integration mean, all of them at once before anything is kept.

Each check adds to one list of problems, so that the answer names every wrong field.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from hookline.domain.catalogue import Catalogue
from hookline.domain.filters import parse_filter
from hookline.domain.omissions import parse_omit
from hookline.domain.selection import parse_selection
from hookline.domain.targets import Ordering, TransmissionType, is_fifo
from hookline.errors import FieldProblem, InvalidInput
from hookline.security.egress.policy import EgressPolicy
from hookline.sinks.sqs.urls import parse_queue_url

_MOST_PROBLEMS: Final = 20  # told at once of one field
_MOST_QUOTED: Final = 80  # characters of a wrong name that are said back
_MOST_HEADERS = 20  # headers; receivers of the field use one to three
_LONGEST_HEADER_NAME = 128  # characters
_LONGEST_HEADER_VALUE = 4096  # characters: room for a token; servers take 8 KiB of head in all
_MOST_IN_HEADERS = 7168  # characters of names and values, so that Hookline's own still fit in 8 KiB

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
        "proxy",  # CGI makes HTTP_PROXY of it, which programs take for a setting
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


class Checks:
    """Collects what is wrong with one document; `raise_any` tells all of it.

    `tenant`: whose share of look-ups the check of a URL takes.
    """

    def __init__(self, policy: EgressPolicy, catalogue: Catalogue, tenant: str) -> None:
        self._policy = policy
        self._tenant = tenant
        self._catalogue = catalogue
        self._problems: list[FieldProblem] = []

    async def url(self, kind: TransmissionType, url: str) -> None:
        """Check where copies go: a queue's URL by AWS's forms, every other one by the guard."""
        try:
            if kind is TransmissionType.AWS_SQS:
                parse_queue_url(url)
            else:
                await self._policy.check_target(url, self._tenant)
        except InvalidInput as error:
            self._problems.extend(error.fields)

    def ordering(self, kind: TransmissionType, url: str, chosen: Ordering | None) -> None:
        """Check that nobody asks for a FIFO queue whose order is not kept."""
        if chosen is Ordering.NONE and is_fifo(kind, url):
            self.refuse(
                "ordering", "A FIFO queue always keeps the order of a subject; leave it out."
            )

    def headers(self, headers: Mapping[str, str]) -> None:
        """Check the customer's headers: names, values, sizes, and none of Hookline's own."""
        self._problems.extend(header_problems(headers))

    def events(self, selection: object) -> dict[str, str | list[str]] | None:
        """Check which events are chosen; return the form to keep, or None where it is wrong."""
        try:
            return parse_selection(selection, self._catalogue).as_document()
        except InvalidInput as error:
            self._problems.extend(error.fields)
            return None

    def filter(self, pattern: object) -> str | None:
        """Check an event pattern; return its JSON text to keep, None for none or a wrong one.

        Clients in Java send an empty object where nobody set a filter: it is none.
        """
        if pattern is None or pattern == {}:
            return None
        try:
            return json.dumps(parse_filter(pattern).pattern)
        except InvalidInput as error:
            self._problems.extend(error.fields)
            return None

    def omit(self, paths: object) -> list[str]:
        """Check what copies leave out; return the paths to keep, none where any is wrong."""
        try:
            return list(parse_omit(paths))
        except InvalidInput as error:
            self._problems.extend(error.fields)
            return []

    def groups(self, path: str, named: Iterable[str]) -> None:
        """Check that what is said by group names groups that there are."""
        known = [group.name for group in self._catalogue.groups]
        for name in islice((name for name in named if name not in known), _MOST_PROBLEMS):
            message = f"There is no such group; the groups are {', '.join(known)}."
            self.refuse(f"{path}.{ascii(name[:_MOST_QUOTED])[1:-1]}", message)

    def refuse(self, path: str, message: str) -> None:
        """Add a problem that was found elsewhere."""
        self._problems.append(FieldProblem(path, message))

    def raise_any(self) -> None:
        """Raise InvalidInput with everything that was found, if anything was."""
        if self._problems:
            raise InvalidInput(*self._problems)


def header_problems(headers: Mapping[str, str]) -> Iterator[FieldProblem]:
    """Yield what is wrong with these headers, each with the path of its header."""
    if len(headers) > _MOST_HEADERS:
        yield FieldProblem("transmission.headers", f"At most {_MOST_HEADERS} headers are possible.")
        return
    if sum(len(name) + len(value) for name, value in headers.items()) > _MOST_IN_HEADERS:
        message = f"All headers together have at most {_MOST_IN_HEADERS} characters."
        yield FieldProblem("transmission.headers", message)
    seen: set[str] = set()
    for name, value in headers.items():
        path = f"transmission.headers.{name[:_LONGEST_HEADER_NAME]}"
        if problem := _name_problem(name) or _value_problem(value):
            yield FieldProblem(path, problem)
        elif _folded(name) in seen:
            message = "This header is named twice; case, `-` and `_` make no difference."
            yield FieldProblem(path, message)
        seen.add(_folded(name))


def _name_problem(name: str) -> str | None:
    if len(name) > _LONGEST_HEADER_NAME or not _TOKEN.fullmatch(name):
        return (
            f"A header's name is a word of at most {_LONGEST_HEADER_NAME} letters, digits and"
            " hyphens."
        )
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
    if len(value) > _LONGEST_HEADER_VALUE:
        return f"A header's value has at most {_LONGEST_HEADER_VALUE} characters."
    if not _VALUE.fullmatch(value):
        return "A header's value has printable ASCII characters, and no space at either end."
    return None
