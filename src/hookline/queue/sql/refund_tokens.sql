-- refund_tokens: refund tokens of rate-limited lanes that found nothing to deliver: $2 of each.
with unused as (
    select *
    from unnest($1::text[], $2::int[], $3::float8[]) as lane (integration_id, room, rate)
),
known as (
    select integration_id
    from rate_limits
    where integration_id = any($1::text[])
    order by integration_id
    for update
)
update rate_limits
set used_until = used_until - make_interval(secs => unused.room / unused.rate)
from unused
join known on known.integration_id = unused.integration_id
where rate_limits.integration_id = unused.integration_id
