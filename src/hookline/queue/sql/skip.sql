-- skip: end at most $3 deliveries of an integration that nobody holds, as skipped for reason $2;
-- $4 is what is counted of each.
with free as (
    select id
    from pending
    where integration_id = $1::text and leased_until is null and ordering is null
    order by due_at
    limit $3::int
    for update skip locked
),
free_in_order as (
    select id
    from pending
    where integration_id = $1::text and ordering is not null
        and (leased_until is null or leased_until <= now())
    order by ordering, position
    limit $3::int
    for update skip locked
),
freed as (
    delete from pending
    where id = any(array(
        select id from (select id from free union all select id from free_in_order) as either
        limit $3::int
    ))
    returning
        id, event_id, integration_id, type, attempts, ordering, omit, replay, once,
        $2::text as reason, $4::int as code
),
-- include skipped
select count(*) from freed
