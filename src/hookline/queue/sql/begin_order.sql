-- begin_order: put deliveries of these lanes that wait outside of the order into it, at most $2 of a
-- lane, each behind what was accepted before it. Returns how many there were.
with wrong as (
    select found.id
    from unnest($1::text[]) as lane (integration_id)
    cross join lateral (
        select id
        from pending
        where pending.integration_id = lane.integration_id
            and leased_until is null and ordering is null
        order by due_at, position
        limit $2::int
        for update skip locked
    ) as found
),
moved as (
    update pending
    set ordering = (
        select subject
        from events
        where events.id = pending.event_id
        limit 1
    )
    where id = any(array(select id from wrong))
    returning integration_id, ordering, position
),
changed as (
    insert into subjects (integration_id, ordering, due_at, position)
    select integration_id, ordering, to_timestamp(0), min(position)
    from moved
    group by integration_id, ordering
    order by integration_id, ordering
    on conflict (integration_id, ordering)
        do update set due_at = to_timestamp(0), version = subjects.version + 1
)
select count(*) from moved
