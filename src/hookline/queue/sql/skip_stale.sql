-- skip_stale: end at most $1 deliveries that nobody holds and whose events are too old to be sent; $2
-- is what is counted of each. Returns how many.
with over as (
    select id
    from pending
    where stale_at <= now() and leased_until is null
    order by stale_at
    limit $1::int
    for update skip locked
),
freed as (
    delete from pending
    where id = any(array(select id from over))
    returning
        id, event_id, integration_id, type, attempts, ordering, omit, replay, once, 'stale' as reason,
        $2::int as code
),
-- include skipped
select count(*) from freed
