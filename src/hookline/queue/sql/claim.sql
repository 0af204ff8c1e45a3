-- claim: lease due deliveries of lanes with room, oldest due first, none that another holds.
-- A lease is the token and a due time in the future: when it runs out, the row is due again.
-- Payloads of $5 bytes at most, but always one. Rows come with the revision that the integrations
-- are at. `limit 1` makes it a lookup by key, whatever stale statistics say.
with lane as (
    select *
    from unnest($1::text[], $2::int[]) as asked (integration_id, room)
),
due as (
    select
        found.id, event.*,
        sum(octet_length(event.payload)) over (rows unbounded preceding) as bytes
    from lane
    cross join lateral (
        select id, event_id
        from pending
        where pending.integration_id = lane.integration_id and due_at <= now()
        order by due_at
        limit lane.room
        for update skip locked
    ) as found
    cross join lateral (
        select pbx, company, subject, time, payload, splice
        from events
        where events.id = found.event_id
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
