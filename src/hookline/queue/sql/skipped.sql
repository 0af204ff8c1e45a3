-- skipped: the second half of every skip. Keeps what `freed` has as skipped, for its `reason`, and logs
-- it as its `code`.
finished as (
    insert into deliveries (
        id, event_id, integration_id, type, status, reason, attempts, finished_at, omit,
        replay
    )
    select
        id, event_id, integration_id, type, 'skipped', reason, attempts, now(), omit, replay
    from freed
),
logged as (
    insert into settlements (integrations, deliveries, codes)
    select array_agg(integration_id), array_agg(id), array_agg(code)
    from freed
    having count(*) > 0
),
replayed as (
    select replay, 'skipped' as status
    from freed
    where not once
),
-- include count_replayed,
-- include wake
