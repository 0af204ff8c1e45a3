-- replacement_keys: at most $3 pairs of an integration and a replacement key that something waits
-- under, in order, behind $1 and $2. A loose index scan: one index descent for each.
with recursive key as (
    (
        select integration_id, replacement_key
        from pending
        where replacement_key is not null
            and (integration_id, replacement_key) > ($1::text, $2::uuid)
        order by integration_id, replacement_key
        limit 1
    )
    union all
    select next.integration_id, next.replacement_key
    from key
    cross join lateral (
        select pending.integration_id, pending.replacement_key
        from pending
        where pending.replacement_key is not null
            and (pending.integration_id, pending.replacement_key)
                > (key.integration_id, key.replacement_key)
        order by pending.integration_id, pending.replacement_key
        limit 1
    ) as next
)
select integration_id, replacement_key
from key
limit $3::int
