-- release_lease: release what a token leased, but these deliveries ($2). The integrations whose deliveries
-- were released come back. Leases that ran out are due already.
with found as (
    select id
    from pending
    where leased_until is not null and leased_until > now()
        and lease = $1::bigint and id <> all($2::uuid[])
),
-- include released,
-- include wake
select distinct integration_id from freed
