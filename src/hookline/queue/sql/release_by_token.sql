-- release_by_token: free what one token leased, of these deliveries and of these lanes; their ids come
-- back. It does not count as a claim. Leases that ran out are due already.
with freed as (
    update pending
    set lease = null, leased_until = null, claims = greatest(claims - 1, 0)
    where id = any(array(
        select id
        from pending
        where id = any($2::uuid[]) and lease = $1::bigint
        union all
        select id
        from pending
        where leased_until is not null and leased_until > now()
            and lease = $1::bigint and integration_id = any($3::text[])
    ))
        and lease = $1::bigint
    returning id, integration_id, ordering
),
-- include wake
select id from freed
