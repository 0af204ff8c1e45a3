"""Columns on their way into a statement, as the text form of Postgres' arrays.

asyncpg asks of each element of an array whether it is itself one, which costs more than all else
that it does with it. Text goes through as it is; the statement casts it: `$1::text::uuid[]`.
(https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO)
"""

from collections.abc import Iterable, Sequence
from uuid import UUID


def plain(values: Iterable[UUID | int | float]) -> str:
    """Return the array of values whose text holds no quote, comma, brace or space."""
    return f"{{{','.join(map(str, values))}}}"


def flags(values: Iterable[bool]) -> str:
    """Return the array of booleans."""
    return f"{{{','.join('t' if value else 'f' for value in values)}}}"


def texts(values: Sequence[str | None]) -> str:
    """Return the array of texts, each quoted; None is NULL."""
    if None in values:
        return f"{{{','.join(map(_element, values))}}}"
    joined = '","'.join(values)  # type: ignore[arg-type]  # no None is left
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1) * bool(values):
        return f"{{{','.join(map(_element, values))}}}"
    return f'{{"{joined}"}}' if values else "{}"


def optional(values: Sequence[UUID | float | None]) -> str:
    """Return the array of values that `plain` takes, None being NULL; empty where all are."""
    if all(value is None for value in values):
        return "{}"
    return f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}"


def optional_texts(values: Sequence[str | None]) -> str:
    """Return the array of texts; empty where all are None."""
    return "{}" if all(value is None for value in values) else texts(values)


def lists(values: Sequence[Sequence[str] | None]) -> str:
    """Return the array of arrays of text, each as text; empty where all are None."""
    if all(value is None for value in values):
        return "{}"
    return texts([None if value is None else texts(value) for value in values])


def _element(value: str | None) -> str:
    if value is None:
        return "NULL"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
