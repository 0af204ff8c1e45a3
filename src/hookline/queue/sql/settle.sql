-- settle: close, bury or reschedule leased deliveries, and keep their attempts.
-- Fenced: a row changes only while it holds the caller's lease. The ids of those come back.
-- $3 is 'pending' for a delivery that is to be tried again, $5 seconds from now.
with settled as (
    select *
    from unnest(
        $1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::float8[], $6::int2[]
    ) as outcome (id, lease, status, reason, delay, number)
),
closed as (
    delete from pending
    using settled
    where pending.id = settled.id
        and pending.lease = settled.lease
        and settled.status <> 'pending'
    returning
        pending.id, pending.event_id, pending.integration_id, pending.type,
        settled.status, settled.reason, settled.number
),
later as (
    update pending
    set
        lease = null,
        due_at = now() + make_interval(secs => settled.delay),
        attempts = settled.number
    from settled
    where pending.id = settled.id
        and pending.lease = settled.lease
        and settled.status = 'pending'
    returning pending.id
),
ours as (
    select id from closed
    union all
    select id from later
),
finished as (
    insert into deliveries (
        id, event_id, integration_id, type, status, reason, attempts, finished_at
    )
    select id, event_id, integration_id, type, status, reason, number, now()
    from closed
),
kept as (
    insert into attempts (
        delivery_id, number, started_at, duration_ms, outcome, error, status_code, response
    )
    select attempt.*
    from unnest(
        $7::uuid[], $8::int2[], $9::timestamptz[], $10::int[], $11::text[], $12::text[],
        $13::int2[], $14::bytea[]
    ) as attempt (
        delivery_id, number, started_at, duration_ms, outcome, error, status_code, response
    )
    where attempt.delivery_id in (select id from ours)
    on conflict (delivery_id, number) do nothing
)
select id from ours
