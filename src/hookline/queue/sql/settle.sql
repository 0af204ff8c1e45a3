-- settle: close or reschedule leased deliveries, keep their attempts, and log all of it.
-- Fenced: a row changes only while it holds the caller's lease. The ids of those come back.
-- $3 is 'pending' for a delivery that is to be tried again, $5 seconds from now. All rows are
-- taken by key alone, and what stays pending is put back: an update would join, and a join's plan
-- depends on statistics that are never current here.
with settled as (
    select *
    from unnest(
        $1::text::uuid[], $2::text::bigint[], $3::text::text[], $4::text::text[],
        $5::text::float8[], $6::text::int2[], $17::text::int4[], $18::text::text[]
    ) as outcome (id, lease, status, reason, delay, number, code, error)
),
taken as (
    delete from pending
    where id = any(array(select id from settled)) and lease = any(array(select lease from settled))
    returning *
),
ours as (
    select taken.*, settled.status, settled.reason, settled.delay, settled.number,
        settled.code, settled.error
    from taken
    left join settled on settled.id = taken.id and settled.lease = taken.lease
),
finished as (
    insert into deliveries (
        id, event_id, integration_id, type, status, reason, attempts, finished_at, omit,
        replay
    )
    select
        id, event_id, integration_id, type, status, reason, number, now(), omit, replay
    from ours
    where status <> 'pending'
),
later as (
    insert into pending (
        id, event_id, integration_id, type, ordering, position, payload_bytes, attempts, manual,
        claims, once, due_at, lease, leased_until, stale_at, replacement_key, omit,
        replay, last_error
    )
    select
        id, event_id, integration_id, type, ordering, position, payload_bytes,
        coalesce(number, attempts), manual, claims, once,
        case when status is null then due_at else now() + make_interval(secs => delay) end,
        case when status is null then lease end,
        case when status is null then leased_until end,
        stale_at, replacement_key, omit, replay, coalesce(error, last_error)
    from ours
    where status is null or status = 'pending'
),
logged as (
    insert into settlements (integrations, deliveries, codes)
    select array_agg(integration_id), array_agg(id), array_agg(code)
    from ours
    where status is not null
    having count(*) > 0
),
replayed as (
    select replay, status
    from ours
    where status <> 'pending' and not once
),
-- include count_replayed,
freed as (
    select integration_id, ordering
    from ours
    where status is not null
),
-- include wake,
kept as (
    insert into attempts (
        delivery_id, number, started_at, duration_ms, outcome, error, status_code, response,
        response_defect, tls_reason, body_bytes
    )
    select attempt.*
    from unnest(
        $7::text::uuid[], $8::text::int2[], $9::timestamptz[], $10::text::int[],
        $11::text::text[], $12::text::text[], $13::int2[], $14::bytea[],
        $15::text::text[], $16::text::text[], $19::text::int[]
    ) as attempt (
        delivery_id, number, started_at, duration_ms, outcome, error, status_code, response,
        response_defect, tls_reason, body_bytes
    )
    where attempt.delivery_id in (select id from ours where status is not null)
    on conflict (delivery_id, number) do nothing
)
select id
from ours
where status is not null
