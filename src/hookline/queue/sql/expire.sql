-- expire: release at most $1 deliveries whose leases have run out; their places are kept, and so is the
-- token: until another takes one, its holder may still settle it. Returns how many.
with over as (
    select id
    from pending
    where leased_until is not null and leased_until <= now()
    order by leased_until
    limit $1::int
    for update skip locked
),
freed as (
    update pending
    set leased_until = null
    where id = any(array(select id from over))
    returning integration_id, ordering
),
-- include wake
select count(*) from freed
