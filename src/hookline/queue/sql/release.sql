-- release: give leases back without an attempt; the claim does not count.
update pending
set lease = null, due_at = now(), claims = greatest(claims - 1, 0)
from unnest($1::uuid[], $2::bigint[]) as held (id, lease)
where pending.id = held.id and pending.lease = held.lease
