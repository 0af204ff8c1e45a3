-- skip: end at most $3 deliveries of an integration that nobody holds, as skipped for reason $2.
with free as (
    select id
    from pending
    where integration_id = $1::text and (lease is null or due_at <= now())
    order by due_at
    limit $3::int
    for update skip locked
),
closed as (
    delete from pending
    where id = any(array(select id from free))
    returning id, event_id, integration_id, type, attempts
),
finished as (
    insert into deliveries (
        id, event_id, integration_id, type, status, reason, attempts, finished_at
    )
    select id, event_id, integration_id, type, 'skipped', $2::text, attempts, now()
    from closed
)
select count(*) from closed
