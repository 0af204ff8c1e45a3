-- claim_ordered: as claim, for lanes that keep order: only the oldest pending delivery of each
-- `ordering` may be leased, and none while that one is leased or waits for its retry.
with recursive lane as (
    select *
    from unnest($1::text[], $2::int[]) as asked (integration_id, room)
),
due as (
    select found.id
    from lane
    cross join lateral (
        with recursive head as (
            (
                select pending.ordering, pending.id, pending.due_at
                from pending
                where pending.integration_id = lane.integration_id
                    and pending.ordering is not null
                order by pending.ordering, pending.id
                limit 1
            )
            union all
            select next.ordering, next.id, next.due_at
            from head
            cross join lateral (
                select pending.ordering, pending.id, pending.due_at
                from pending
                where pending.integration_id = lane.integration_id
                    and pending.ordering > head.ordering
                order by pending.ordering, pending.id
                limit 1
            ) as next
        )
        select head.id
        from head
        where head.due_at <= now()
        limit lane.room
    ) as found
),
free as (
    select pending.id
    from pending
    join due on due.id = pending.id
    where pending.due_at <= now()
    for update of pending skip locked
),
leased as (
    update pending
    set
        lease = $3::bigint,
        due_at = now() + make_interval(secs => $4::float8),
        claims = least(claims + 1, 32767)
    from free
    where pending.id = free.id
    returning pending.*
)
select
    leased.id, leased.event_id, leased.integration_id, leased.attempts, leased.claims, leased.once,
    events.pbx, events.company, events.type, events.subject, events.time, events.payload,
    events.splice
from leased
join events on events.id = leased.event_id
order by leased.id
