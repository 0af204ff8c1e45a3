-- release: give leases back without an attempt; the claim does not count.
update pending
set lease = null, due_at = now(), claims = greatest(claims - 1, 0)
where id = any($1::uuid[]) and lease = any($2::bigint[])
