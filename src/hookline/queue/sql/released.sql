-- released: the second half of a release by token. Releases what `found` has (ids) and the token $1
-- still leases; it does not count as a claim.
freed as (
    update pending
    set lease = null, leased_until = null, claims = greatest(claims - 1, 0)
    where id = any(array(select id from found)) and lease = $1::bigint
    returning id, integration_id, ordering
)
