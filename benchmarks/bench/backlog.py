"""Deliveries that wait behind a dead target: put into the queue's tables by SQL.

The rows are those that the service itself would have written: one event with its payload, one key
for duplicates and one pending delivery each, with ids of their moment. Only the way in is shorter.
"""

from typing import Any

from bench.events import COMPANY, DIGITS, NUMBER_AT, Template, pbx_serial
from bench.measure import Gauge
from bench.processes import Service
from bench.progress import ProgressDisplay
from bench.stage import Stage
from hookline.domain.events import Limits, parse_event

_AT_ONCE = 20_000  # rows a statement
_FIRST = 10**11  # numbers far from those of the events that are sent

_FILL = """\
with made as materialized (
    select
        uuidv7() as id,
        overlay($1::bytea placing convert_to(number::text, 'UTF8') from $2::int) as payload
    from generate_series($3::int8, $4::int8) as number
),
stored as (
    insert into events (id, pbx, company, type, subject, time, payload, splice, skipped)
    select
        id, $5::text, $6::text, $7::text, convert_from(substr(payload, $2::int, $8::int), 'UTF8'),
        $9::int8, payload, $10::int, null
    from made
),
known as (
    insert into event_keys (digest, event_id)
    select substr(encode(sha256(payload), 'hex'), 1, 32)::uuid, id
    from made
)
insert into pending (
    id, event_id, integration_id, type, ordering, attempts, claims, once, due_at, lease
)
select uuidv7(), id, $11::text, $7::text, null, 0, 0, false, now(), null
from made
"""


async def fill(
    place: Stage, service: Service, gauge: Gauge, progress: ProgressDisplay
) -> dict[str, Any]:
    """Let the scenario's dead deliveries wait; return how many, for the result."""
    count = place.scenario.dead
    if not count:
        return {}
    pbx = pbx_serial(place.scenario.pbxs)  # one that no event is sent from
    [dead] = await place.subscribe_others(service, [(pbx, place.ports["dead"][0])])
    event = parse_event(Template().event(_FIRST, pbx), Limits())
    progress.phase("filling the backlog", count)
    for start in range(0, count, _AT_ONCE):
        await gauge.database.execute(
            _FILL,
            event.payload,
            NUMBER_AT + 1,
            _FIRST + start,
            _FIRST + min(start + _AT_ONCE, count) - 1,
            event.pbx,
            COMPANY,
            event.type,
            DIGITS,
            event.time,
            event.splice,
            dead,
        )
        progress.at(start + _AT_ONCE)
    await gauge.database.execute("analyze pending")
    return {"waiting": count, "filled_by": "SQL, with the rows that the service would write"}
