-- end_order: take deliveries of these lanes that wait in the order out of it, at most $2 of a lane; they
-- go as they are due. Returns how many of them, or of their subjects, there were at the most.
with wrong as (
    select found.id
    from unnest($1::text[]) as lane (integration_id)
    cross join lateral (
        select id
        from pending
        where pending.integration_id = lane.integration_id
            and leased_until is null and ordering is not null
        order by ordering, position, id
        limit $2::int
        for update skip locked
    ) as found
),
moved as (
    update pending
    set ordering = null
    where id = any(array(select id from wrong))
    returning id
),
empty as (
    delete from subjects
    where ctid = any(array(
        select found.place
        from unnest($1::text[]) as lane (integration_id)
        cross join lateral (
            select ctid as place
            from subjects
            where subjects.integration_id = lane.integration_id
            order by ordering
            limit $2::int
            for update skip locked
        ) as found
    ))
    returning version
)
select greatest((select count(*) from moved), (select count(*) from empty))
