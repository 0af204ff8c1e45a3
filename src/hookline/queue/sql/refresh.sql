-- refresh: find what is first of the subjects of these lanes that were changed, at most $2 of a lane:
-- when it may go, and its position. While any of a subject is leased, that is when that lease would
-- run out; one that has, and is not freed yet, keeps its subject from those that are due. Subjects
-- without deliveries go. Returns how many were looked at.
-- One that is changed meanwhile is left for the next time, as in claim_ordered.
with lane as (
    select *
    from unnest($1::text[]) as asked (integration_id)
),
seen as (
    select subject.*
    from lane
    cross join lateral (
        select integration_id, ordering, version
        from subjects
        where subjects.integration_id = lane.integration_id and due_at = to_timestamp(0)
        order by position
        limit $2::int
    ) as subject
),
-- include locked_subjects,
head as (
    select locked.place, first.id
    from locked
    left join lateral (
        select id
        from pending
        where pending.integration_id = locked.integration_id
            and pending.ordering = locked.ordering
        order by position, id
        limit 1
    ) as first on true
),
found as (
    update subjects
    set (due_at, position) = (
        select
            coalesce(
                (
                    select greatest(max(held.leased_until), now() + interval '1 second')
                    from pending as held
                    where held.integration_id = subjects.integration_id
                        and held.ordering = subjects.ordering
                        and held.leased_until is not null
                    having count(*) > 0
                ),
                pending.due_at
            ),
            pending.position
        from pending
        where pending.integration_id = subjects.integration_id
            and pending.ordering = subjects.ordering
        order by pending.position, pending.id
        limit 1
    )
    where ctid = any(array(select place from head where id is not null))
),
emptied as (
    delete from subjects
    where ctid = any(array(select place from head where id is null))
)
select count(*) from locked
