-- give_back: free what one token leased, of these deliveries and of these lanes; their ids come
-- back. It does not count as a claim. Leases that ran out are due already.
update pending
set lease = null, due_at = now(), claims = greatest(claims - 1, 0)
where id = any(array(
    select id
    from pending
    where id = any($2::uuid[]) and lease = $1::bigint
    union all
    select id
    from pending
    where integration_id = any($3::text[]) and due_at > now() and lease = $1::bigint
))
    and lease = $1::bigint
returning id
