-- claim: lease due deliveries of lanes with room, oldest due first, none that another holds.
-- A lease is the token and a due time in the future: when it runs out, the row is due again.
with lane as (
    select *
    from unnest($1::text[], $2::int[]) as asked (integration_id, room)
),
due as (
    select found.id
    from lane
    cross join lateral (
        select id
        from pending
        where pending.integration_id = lane.integration_id and due_at <= now()
        order by due_at
        limit lane.room
        for update skip locked
    ) as found
),
leased as (
    update pending
    set
        lease = $3::bigint,
        due_at = now() + make_interval(secs => $4::float8),
        claims = least(claims + 1, 32767)
    from due
    where pending.id = due.id
    returning pending.*
)
select
    leased.id, leased.event_id, leased.integration_id, leased.attempts, leased.claims, leased.once,
    events.pbx, events.company, events.type, events.subject, events.time, events.payload,
    events.splice
from leased
join events on events.id = leased.event_id
order by leased.id
