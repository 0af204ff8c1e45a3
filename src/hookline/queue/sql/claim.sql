-- claim: lease due deliveries of lanes with room, oldest first, none that another holds: in the order
-- in which they were accepted, a retry in that of its due time.
with lane as (
    select *
    from unnest($1::text[], $2::int[]) as asked (integration_id, room)
),
free as (
    select found.*
    from lane
    cross join lateral (
        select id, event_id, due_at, position, payload_bytes
        from pending
        where pending.integration_id = lane.integration_id
            and leased_until is null and ordering is null and due_at <= now()
        order by due_at, position
        limit lane.room
        for update skip locked
    ) as found
),
-- include lease
select leased.*, revision.value as revision
from leased
join due on due.id = leased.id
cross join revision
order by due.due_at, due.position
