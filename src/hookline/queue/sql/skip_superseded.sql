-- skip_superseded: end at most $3 deliveries that nobody holds and that a newer one replaces which is
-- not finished, of these integrations and replacement keys; $4 is what is counted of each. Returns
-- the newest delivery of each key, and how many were ended in all.
with asked as (
    select *
    from unnest($1::text[], $2::uuid[]) as each (integration_id, replacement_key)
),
newest as (
    select asked.*, found.id, found.position
    from asked
    cross join lateral (
        select id, position
        from pending
        where pending.integration_id = asked.integration_id
            and pending.replacement_key = asked.replacement_key
        order by pending.position desc
        limit 1
    ) as found
),
older as (
    select found.id
    from newest
    cross join lateral (
        select id
        from pending
        where pending.integration_id = newest.integration_id
            and pending.replacement_key = newest.replacement_key
            and pending.position < newest.position and leased_until is null
        order by pending.position
        limit $3::int
        for update skip locked
    ) as found
    limit $3::int
),
freed as (
    delete from pending
    where id = any(array(select id from older))
    returning
        id, event_id, integration_id, type, attempts, ordering, omit, replay, once, 'superseded' as reason,
        $4::int as code
),
-- include skipped
select integration_id, replacement_key, id, (select count(*) from freed) as ended
from newest
