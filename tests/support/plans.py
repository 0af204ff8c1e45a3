"""How Postgres runs a statement: its plan, with what it really touched."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

_PARAMETER = re.compile(r"\$(\d+)::(\w+(?:\[\])?)")


@dataclass(frozen=True, slots=True)
class Scan:
    """One node of a plan that reads a table."""

    kind: str
    table: str
    rows: int  # that it read, those that its filter then left out among them


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement that one connection has prepared, under a name."""

    name: str
    types: list[str]


async def prepare(connection: asyncpg.Connection, name: str, sql: str) -> Prepared:
    """Prepare a statement whose every parameter is cast, and have it planned at once."""
    types = dict(sorted((int(number), kind) for number, kind in _PARAMETER.findall(sql)))
    prepared = Prepared(name, list(types.values()))
    declared = f"({', '.join(prepared.types)})" if types else ""
    await connection.execute(f"prepare {name} {declared} as {sql}")
    await connection.execute(f"explain {_execute(prepared, ['null'] * len(types))}")
    return prepared


async def explain(
    connection: asyncpg.Connection, prepared: Prepared, arguments: Sequence[object]
) -> list[Scan]:
    """Run a prepared statement, undo it, and return its scans."""
    literals = [
        await connection.fetchval(f"select quote_nullable(($1::{kind})::text)", argument)
        for kind, argument in zip(prepared.types, arguments, strict=True)
    ]
    transaction = connection.transaction()
    await transaction.start()
    try:
        plan = await connection.fetchval(
            f"explain (analyze, format json) {_execute(prepared, literals)}"
        )
    finally:
        await transaction.rollback()
    return list(_scans(json.loads(plan)[0]["Plan"]))


def _execute(prepared: Prepared, literals: Sequence[str]) -> str:
    listed = f" ({', '.join(literals)})" if literals else ""
    return f"execute {prepared.name}{listed}"


def _scans(node: dict[str, Any]) -> Iterator[Scan]:
    if "Relation Name" in node and node["Node Type"].endswith("Scan"):
        read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        rows = int(read * node["Actual Loops"])
        yield Scan(node["Node Type"], node["Relation Name"], rows)
    for child in node.get("Plans", []):
        yield from _scans(child)
