-- lease: the second half of every claim. Leases what `free` has (id, event_id, due_at, position,
-- payload_bytes), in its order: payloads of $5 bytes at most, but always one. A lease is the token $3
-- and the moment when it runs out. Rows come oldest first, with the revision that the integrations are
-- at. A row that an older version stored does not know its size: it counts as 16 KiB.
due as (
    select
        free.id, free.due_at, free.position,
        sum(coalesce(payload_bytes, 16384)) over (rows unbounded preceding)
            - coalesce(payload_bytes, 16384) as bytes_before
    from free
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
        where bytes_before < $5::bigint
    ))
    returning
        id, event_id, integration_id, type, attempts, manual, claims, once, replacement_key, omit,
        replay,
        last_error,
        extract(epoch from stale_at - now())::float8 as fresh_for
)
