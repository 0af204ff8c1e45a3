-- renew: extend leases that are still the caller's; their ids come back.
update pending
set due_at = now() + make_interval(secs => $3::float8)
from unnest($1::uuid[], $2::bigint[]) as held (id, lease)
where pending.id = held.id and pending.lease = held.lease
returning pending.id
