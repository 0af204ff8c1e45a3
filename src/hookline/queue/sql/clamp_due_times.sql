-- clamp_due_times: bring times down that lie further ahead than any can, after the clock went back: a lease
-- lasts $1 seconds, a retry waits $2, and all else is due at once. Nobody's lease becomes shorter
-- than a new one. Takes at most $3 of each kind, and returns how many it took at the most.
with long_leased as (
    select id
    from pending
    where leased_until is not null and leased_until > now() + make_interval(secs => 1 + $1::float8)
    limit $3::int
    for update skip locked
),
late as (
    select id
    from pending
    where due_at > now() + make_interval(secs => 1 + case when attempts > 0 then $2::float8 else 0 end)
    limit $3::int
    for update skip locked
),
freed as (
    update pending
    set
        leased_until = case
            when leased_until is not null
            then least(leased_until, now() + make_interval(secs => $1::float8))
        end,
        due_at = least(
            due_at, now() + make_interval(secs => case when attempts > 0 then $2::float8 else 0 end)
        )
    where id = any(array(select id from long_leased union all select id from late))
    returning integration_id, ordering
),
-- include wake
select greatest((select count(*) from long_leased), (select count(*) from late))
