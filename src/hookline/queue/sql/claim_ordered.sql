-- claim_ordered: as claim, for lanes that keep order: only the first delivery of each subject may be
-- leased, and none while it waits for its retry or any of the subject is leased: that may be a later
-- one, where the first was retried by hand. Subjects whose first delivery is
-- not what `subjects` says are looked at anew (see refresh). A subject that was changed between this
-- statement's start and its lock is left for the next claim: what is read of its deliveries is old.
with lane as (
    select *
    from unnest($1::text[], $2::int[]) as asked (integration_id, room)
),
seen as (
    select subject.*
    from lane
    cross join lateral (
        select integration_id, ordering, version
        from subjects
        where subjects.integration_id = lane.integration_id
            and due_at > to_timestamp(0) and due_at <= now()
        order by due_at, position
        limit lane.room
    ) as subject
),
-- include locked_subjects,
free as (
    select first.*, locked.place
    from locked
    cross join lateral (
        select id
        from pending
        where pending.integration_id = locked.integration_id
            and pending.ordering = locked.ordering
        order by position, id
        limit 1
    ) as head
    cross join lateral (
        select id, event_id, due_at, position, payload_bytes
        from pending
        where pending.id = head.id and leased_until is null and due_at <= now()
            and not exists (
                select
                from pending as held
                where held.integration_id = locked.integration_id
                    and held.ordering = locked.ordering
                    and held.leased_until is not null
            )
        limit 1
        for update skip locked
    ) as first
),
-- include lease,
leased_subjects as (
    update subjects
    set due_at = case
        when ctid = any(array(select place from free)) then now() + make_interval(secs => $4::float8)
        else to_timestamp(0)
    end
    where ctid = any(array(
        select place
        from locked
        where place not in (
            select place from free where id not in (select id from leased)
        )
    ))
)
select leased.*, revision.value as revision
from leased
join due on due.id = leased.id
cross join revision
order by due.due_at, due.position
