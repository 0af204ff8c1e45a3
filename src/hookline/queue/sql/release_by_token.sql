-- release_by_token: release what one token leased, of these deliveries and of these lanes; their ids come
-- back. Leases that ran out are due already.
with found as (
    select id
    from pending
    where id = any($2::uuid[]) and lease = $1::bigint
    union all
    select id
    from pending
    where leased_until is not null and leased_until > now()
        and lease = $1::bigint and integration_id = any($3::text[])
),
-- include released,
-- include wake
select id from freed
