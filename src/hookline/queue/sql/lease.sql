-- lease: the second half of every claim. Leases what `free` has (id, event_id, due_at, position), in
-- its order: payloads of $5 bytes at most, but always one. A lease is the token $3 and the moment when
-- it runs out. Rows come oldest first, with the revision that the integrations are at. `limit 1` makes
-- it a lookup by key, whatever stale statistics say.
due as (
    select
        free.id, free.due_at, free.position, event.*,
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
        leased_until = now() + make_interval(secs => $4::float8),
        claims = least(claims + 1, 32767)
    where id = any(array(
        select id
        from due
        where bytes - octet_length(payload) < $5::bigint
    ))
    returning id, event_id, integration_id, type, attempts, manual, claims, once
)
