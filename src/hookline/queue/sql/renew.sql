-- renew: extend leases that are still the caller's; the ids of those come back.
-- Rows that are just being settled are passed over: waiting for them could deadlock.
update pending
set leased_until = now() + make_interval(secs => $3::float8)
where id = any(array(
    select id
    from pending
    where id = any($1::uuid[]) and lease = any($2::bigint[])
    for update skip locked
))
returning id
