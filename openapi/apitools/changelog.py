"""What changed in the API from version to version, told from the document's history."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from apitools.changes import Change, Effect
from apitools.compare import compare
from apitools.history import Document, History

_TITLES: Final = {
    Effect.BROKEN: "Breaking",
    Effect.ADDED: "Added",
    Effect.RELAXED: "Changed",
}
_HEAD: Final = """\
# Changes of the API

Told by `make api-changelog` from the history of `openapi/openapi.json`, version by version. What a
version promises to the next is in [api-versions.md](api-versions.md).
"""


def changelog(document: Document, history: History, reasons: Mapping[str, str]) -> str:
    """Return the changelog up to this document; `reasons` say why a break was intended."""
    versions = versions_of(document, history)
    parts = [_HEAD]
    for older, newer in reversed(list(pairwise(versions))):
        parts.append("\n".join(_version(older, newer, reasons)))
    parts.append(f"## {_number(versions[0])}\n\nThe first version.\n")
    return "\n".join(parts)


def versions_of(document: Document, history: History) -> list[Document]:
    """Return the last document of each version, oldest first."""
    last: dict[str, Document] = {}
    for each in (document, *history.committed()):
        last.setdefault(_number(each), each)
    return list(reversed(last.values()))


def _number(document: Document) -> str:
    return str(document["info"]["version"])


def _version(older: Document, newer: Document, reasons: Mapping[str, str]) -> Iterator[str]:
    yield f"## {_number(newer)}\n"
    changes = compare(older, newer)
    if not changes:
        yield "Nothing that callers or receivers could notice.\n"
    for effect, title in _TITLES.items():
        told = [_told(change, reasons) for change in changes if change.effect is effect]
        if told:
            yield f"### {title}\n"
            yield from told
            yield ""


def _told(change: Change, reasons: Mapping[str, str]) -> str:
    reason = reasons.get(str(change))
    return f"- {change}" + (f" ({reason})" if reason else "")
