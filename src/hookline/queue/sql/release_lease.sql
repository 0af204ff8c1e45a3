-- release_lease: free what a token leased, but these deliveries ($2); it does not count as a claim. The
-- integrations whose deliveries were freed come back. Leases that ran out are due already.
with freed as (
    update pending
    set lease = null, leased_until = null, claims = greatest(claims - 1, 0)
    where id = any(array(
        select id
        from pending
        where leased_until is not null and leased_until > now()
            and lease = $1::bigint and id <> all($2::uuid[])
    ))
        and lease = $1::bigint
    returning integration_id, ordering
),
-- include wake
select distinct integration_id from freed
