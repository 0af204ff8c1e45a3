from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, lists, none, text, uuids

from hookline.background import run_at_once
from hookline.domain.ids import new_uuid
from hookline.queue.port import NewDelivery
from hookline.queue.rows import delivery_columns, optional, plain, texts
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


def test_many_deliveries_are_columns_as_few_are_but_in_steps() -> None:
    some = [
        NewDelivery(
            id=new_uuid(),
            event_id=new_uuid(),
            integration_id=f"int{number}",
            event_type="call:start",
            ordering=f"call {number}" if number % 2 else None,
            leased=number % 3 == 0,
            max_age=1.5 if number == 700 else None,
            replacement_key=None,
            omit=("data.x",) if number > 600 else None,
            holder=9 if number == 3 else None,
        )
        for number in range(900)
    ]
    sizes = {each.event_id: number for number, each in enumerate(some)}
    assert run_at_once(delivery_columns(some, sizes, 7)) == [
        plain(each.id for each in some),
        plain(each.event_id for each in some),
        texts([each.integration_id for each in some]),
        texts([each.event_type for each in some]),
        texts([each.ordering for each in some]),
        optional([(each.holder or 7) if each.leased else None for each in some]),
        plain(range(900)),
        optional([each.max_age for each in some]),
        "{}",
        texts([None if each.omit is None else texts(each.omit) for each in some]),
    ]
    assert sum(1 for _ in delivery_columns(some, sizes, 7)) > 1
    assert run_at_once(delivery_columns([], {}, 7)) == ["{}"] * 10
