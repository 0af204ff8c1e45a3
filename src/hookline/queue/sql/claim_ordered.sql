-- claim_ordered: as claim, for lanes that keep order: only the oldest pending delivery of each
-- `ordering` may be leased, and none while that one is leased or waits for its retry.
with lane as (
    select *
    from unnest($1::text[], $2::int[]) as asked (integration_id, room)
),
first as (
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
    select id, event_id
    from pending
    where id = any(array(select id from first)) and due_at <= now()
    for update skip locked
),
due as (
    select
        free.id, event.*,
        sum(octet_length(event.payload)) over (rows unbounded preceding) as bytes
    from free
    cross join lateral (
        select pbx, company, subject, time, payload, splice
        from events
        where events.id = free.event_id
        limit 1
    ) as event
),
leased as (
    update pending
    set
        lease = $3::bigint,
        due_at = now() + make_interval(secs => $4::float8),
        claims = least(claims + 1, 32767)
    where id = any(array(
        select id
        from due
        where bytes - octet_length(payload) < $5::bigint
    ))
    returning id, event_id, integration_id, type, attempts, claims, once
)
select leased.*, pbx, company, subject, time, payload, splice, revision.value as revision
from leased
join due on due.id = leased.id
cross join revision
order by leased.id
