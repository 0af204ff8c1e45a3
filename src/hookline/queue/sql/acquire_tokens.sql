-- acquire_tokens: grants rate-limited lanes tokens, each lane its `room` at the most: what its rate
-- $3, per second, has not used up yet. At `used_until` all is used up that was granted so far; a
-- tenth of a second's worth, or one, may go at once. Rows are locked in order: no deadlocks. A lane
-- that was never asked for is only noted, and granted none: two processes may ask at the same time.
-- No lane uses up more than it may be granted at once: what is used up a minute beyond that was so
-- before the clock went back, or at a lower rate.
with asked as (
    select *, greatest(1, rate * 0.1) as burst
    from unnest($1::text[], $2::int[], $3::float8[]) as lane (integration_id, room, rate)
),
known as (
    select integration_id, greatest(used_until, now()) as used_until
    from rate_limits
    where integration_id = any($1::text[])
    order by integration_id
    for update
),
used as (
    select
        asked.*,
        case
            when used_until > now() + make_interval(secs => burst / rate + 60) then now()
            else used_until
        end as used_until
    from asked
    join known on known.integration_id = asked.integration_id
),
acquired as (
    select
        integration_id, rate, burst, used_until,
        greatest(0, least(
            room, floor(burst - extract(epoch from used_until - now())::float8 * rate)
        ))::int as granted
    from used
),
spent as (
    update rate_limits
    set used_until = acquired.used_until + make_interval(secs => acquired.granted / acquired.rate)
    from acquired
    where rate_limits.integration_id = acquired.integration_id and acquired.granted > 0
),
noted as (
    insert into rate_limits (integration_id, used_until)
    select integration_id, now()
    from asked
    where integration_id not in (select integration_id from known)
    order by integration_id
    on conflict (integration_id) do nothing
)
select
    asked.integration_id,
    coalesce(granted, 0) as granted,
    coalesce(greatest(0, extract(epoch from used_until - now())::float8
        + (granted + 1 - acquired.burst) / acquired.rate), 0) as next_in
from asked
left join acquired on acquired.integration_id = asked.integration_id
