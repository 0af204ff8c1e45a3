-- waiting: each integration with pending deliveries, and in how many seconds its first is due.
-- A loose index scan: one index descent for each integration, however many rows it has.
with recursive lane as (
    (
        select integration_id, due_at
        from pending
        order by integration_id, due_at
        limit 1
    )
    union all
    select next.integration_id, next.due_at
    from lane
    cross join lateral (
        select pending.integration_id, pending.due_at
        from pending
        where pending.integration_id > lane.integration_id
        order by pending.integration_id, pending.due_at
        limit 1
    ) as next
)
select integration_id, extract(epoch from due_at - now())::float8 as due_in
from lane
