"""Leases of processes that died, which run out when a test says so and not when seconds are over.

So a test may give attempts all the time that a busy machine takes.
"""

from support.postgres_clients import ask

_HELD = "select array_agg(distinct lease) from pending where leased_until is not null"
_RUN_OUT = """
with over as (
    update pending set leased_until = now() - interval '1 second'
    where lease = any($1) and leased_until is not null
    returning id
)
select count(*) from over
"""


async def held_leases(dsn: str) -> list[int]:
    """Return the tokens under which deliveries are leased now."""
    return list(await ask(dsn, _HELD) or ())


async def run_out(dsn: str, leases: list[int]) -> None:
    """Have these leases be over at once."""
    assert await ask(dsn, _RUN_OUT, leases) > 0
