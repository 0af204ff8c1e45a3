from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, lists, none, text, uuids

from hookline.queue.rows import plain, texts
from support.databases import Databases

ANY_TEXT = text().filter(lambda value: "\x00" not in value and not _is_lone(value))
AWKWARD = ["", "NULL", "null", '"', "\\", ",", "{}", " x ", 'a"b', "a\\", "\n", "ü", "\U0001f600"]


def _is_lone(value: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in value)


@pytest.fixture(scope="module")
async def connection(databases: Databases) -> AsyncIterator[asyncpg.Connection]:
    async with databases.migrated() as dsn:
        opened = await asyncpg.connect(dsn)
        yield opened
        await opened.close()


async def back(connection: asyncpg.Connection, kind: str, sent: str) -> object:
    return await connection.fetchval(f"select $1::text::{kind}[]", sent)


@pytest.mark.parametrize(
    "several", [[], [None], [None, *AWKWARD], AWKWARD, ["", ""], *([x] for x in AWKWARD)]
)
async def test_awkward_texts_arrive_as_they_are(
    connection: asyncpg.Connection, several: list[str | None]
) -> None:
    assert await back(connection, "text", texts(several)) == several


@given(several=lists(none() | ANY_TEXT))
def test_any_text_is_quoted_and_none_is_not(several: list[str | None]) -> None:
    assert parsed(texts(several)) == several


async def test_numbers_and_ids_arrive_as_they_are(connection: asyncpg.Connection) -> None:
    @given(
        lists(integers(-(2**63), 2**63 - 1)),
        lists(floats(allow_nan=False)),
        lists(uuids()),
    )
    def check(whole: list[int], broken: list[float], ids: list[UUID]) -> None:
        sent.append((whole, broken, ids))

    sent: list[tuple[list[int], list[float], list[UUID]]] = []
    check()
    for whole, broken, ids in sent:
        assert await back(connection, "bigint", plain(whole)) == whole
        assert await back(connection, "float8", plain(broken)) == broken
        assert await back(connection, "uuid", plain(ids)) == ids


def parsed(array: str) -> list[str | None]:
    """Read the text form as Postgres' manual says it is written."""
    assert array.startswith("{")
    assert array.endswith("}")
    found: list[str | None] = []
    at, end = 1, len(array) - 1
    while at < end:
        if array[at] != '"':
            assert array.startswith("NULL", at)
            found.append(None)
            at += len("NULL,")
            continue
        at += 1
        value = ""
        while array[at] != '"':
            at += array[at] == "\\"
            value += array[at]
            at += 1
        found.append(value)
        at += 2
    return found
