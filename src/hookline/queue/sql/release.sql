-- release: ends leases without an attempt; the claim does not count, the place is kept.
with freed as (
    update pending
    set lease = null, leased_until = null, claims = greatest(claims - 1, 0)
    where id = any($1::uuid[]) and lease = any($2::bigint[])
    returning integration_id, ordering
),
-- include wake
select count(*) from freed
