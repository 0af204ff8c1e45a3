-- hasten: bring due times down that lie further ahead than any can, after the clock went back: a
-- lease lasts $1 seconds, a retry waits $2, and all else is due at once. Nobody's lease becomes
-- shorter than a new one. Takes at most $3, and returns how many it took.
with stuck as (
    select id
    from pending
    where due_at > now() + make_interval(secs => 1 + case
        when lease is not null then $1::float8
        when attempts > 0 then $2::float8
        else 0
    end)
    limit $3::int
    for update skip locked
),
hastened as (
    update pending
    set due_at = now() + make_interval(secs => case
        when lease is not null then $1::float8
        when attempts > 0 then $2::float8
        else 0
    end)
    where id = any(array(select id from stuck))
    returning id
)
select count(*) from hastened
