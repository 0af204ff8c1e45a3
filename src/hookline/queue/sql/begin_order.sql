-- begin_order: put deliveries $1, which waited outside of the order, into that of their subjects $2,
-- each behind what was accepted before it. Returns how many there still were.
with wrong as (
    select found.id
    from unnest($1::text::uuid[]) as asked (id)
    cross join lateral (
        select id, leased_until, ordering
        from pending
        where pending.id = asked.id
        limit 1
        for update skip locked
    ) as found
    where found.leased_until is null and found.ordering is null  -- out here: no partial index is read
),
moved as (
    update pending
    set ordering = asked.subject
    from unnest($1::text::uuid[], $2::text[]) as asked (id, subject)
    where pending.id = any(array(select id from wrong)) and pending.id = asked.id
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
